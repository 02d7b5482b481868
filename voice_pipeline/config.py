"""Settings: command line over environment over file over default. The only reader of environment.

Options of an adapter belong to that adapter and are checked by it; here stand only the choices
that concern the whole. Unknown keys are errors.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from voice_pipeline.errors import Misconfigured

# Switched off before any library that would phone home is imported.
QUIET = {
    "PYANNOTE_METRICS_ENABLED": "0",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",  # nothing is fetched at run time; `models pull` is the one exception
    "DO_NOT_TRACK": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


class Part(BaseModel):
    """Which adapter to use, and its own options."""

    model_config = ConfigDict(extra="forbid")

    use: str = Field("auto", description="name of the adapter, or package.module:factory")
    options: dict[str, Any] = Field(default_factory=dict, description="checked by the adapter")


class Muting(BaseModel):
    """How muted audio sounds."""

    model_config = ConfigDict(extra="forbid")

    fill: Literal["silence", "tone"] = Field("silence", description="what replaces the sound")
    fade: float = Field(
        0.0, ge=0, le=0.05, description="seconds over which sound goes out and comes back"
    )


Signature = Literal["RS256", "ES256", "PS256", "EdDSA"]


class Oidc(BaseModel):
    """Whose bearer tokens are taken, and what their claims mean."""

    model_config = ConfigDict(extra="forbid")

    issuer: str = Field(min_length=1, description="`iss` of the tokens, letter by letter")
    audience: str = Field(min_length=1, description="`aud` that must be among the tokens'")
    jwks: str = Field(
        min_length=1, description="the issuer's keys: a file, an https URL, or http of this machine"
    )
    algorithms: tuple[Signature, ...] = Field(
        ("RS256",), min_length=1, description="signatures that are taken"
    )
    leeway: float = Field(30.0, ge=0, le=300, description="seconds that clocks may differ")
    role_claim: str = Field("role", description="claim with the role; dots lead into objects")
    roles: dict[str, str] = Field(
        default_factory=dict, description="value of that claim to role; empty: the roles' own names"
    )
    tenant_claim: str | None = Field(
        None, description="claim with the tenant; unset: all tokens are of the tenant `default`"
    )
    queues_claim: str | None = Field(
        None, description="claim with the list of queues; unset: all queues of the tenant"
    )


class Limits(BaseModel):
    """How often somebody may ask, counted by each process."""

    model_config = ConfigDict(extra="forbid")

    rate: float = Field(50.0, gt=0, description="requests a second of one principal, in the long")
    burst: int = Field(100, ge=1, description="requests of one principal at once")
    failed_logins: int = Field(
        10, ge=1, description="failed logins of one address at once; one more each ten seconds"
    )


class Erase(BaseModel):
    """How calls are erased."""

    model_config = ConfigDict(extra="forbid")

    four_eyes: bool = Field(False, description="one asks, and somebody else must agree")


class Serve(BaseModel):
    """How the service takes calls in and works them off."""

    model_config = ConfigDict(extra="forbid")

    largest_upload: int = Field(1 << 30, ge=1, description="bytes of one recording")
    most_waiting: int = Field(
        100_000, ge=1, description="calls that may wait; more are answered with 429"
    )
    disk_reserve: int = Field(
        256 << 20, ge=0, description="bytes that stay free on the disk; less is answered with 429"
    )
    lanes: list[str] = Field(
        default_factory=list,
        description="kinds of work that have workers of their own: gpu, llm; default: none",
    )
    backfill_ahead: int = Field(
        32, ge=1, le=10_000, description="old recordings that are with the workers at once; a "
        "pause of the backfill is felt after these"
    )  # fmt: skip
    watch: list[str] = Field(
        default_factory=list,
        description="folders, or s3://BUCKET/PREFIX, from which `serve` takes recordings",
    )
    watch_every: float = Field(5.0, gt=0, description="seconds between looks at them")
    references: list[str] = Field(
        default_factory=list,
        description="where recordings may be fetched from: https://HOST/PATH or s3://BUCKET/PREFIX "
        "that a reference must begin with; default: nowhere",
    )
    private_references: bool = Field(
        False, description="whether their hosts may have private or loopback addresses"
    )
    reference_timeout: float = Field(
        60.0, gt=0, description="seconds that fetching one recording may take"
    )
    calls: int = Field(4, ge=1, le=256, description="calls that one process works on at once")
    dead_after: float = Field(
        60.0, ge=2, description="seconds without a sign of life after which others take over"
    )
    drain: int = Field(
        30, ge=0, description="seconds that running calls get to end when the service is stopped"
    )
    history_days: float = Field(
        30.0, gt=0, description="days that the engine's history of ended runs is kept"
    )
    metrics: Literal["open", "key"] = Field(
        "open",
        description="who may read /metrics: anybody who reaches the port, or keys that may; they "
        "hold counts only",
    )
    read_timeout: float = Field(
        30.0, gt=0, description="seconds after which an upload that sends nothing is cut"
    )


# what of note.json a target gets where its settings do not say; `unverified` never leaves by itself
NOTE_FIELDS = (
    "call_id", "status", "request_type", "urgency", "reason", "summary", "next_step", "facts",
    "actions", "commitments", "outcome", "missing_information", "also", "open_questions",
    "cancellation_reason", "sections", "route", "escalations", "review", "draft", "measures",
)  # fmt: skip


class Target(BaseModel):
    """A CRM, or what stands for one, and what it gets."""

    model_config = ConfigDict(extra="forbid")

    use: str = Field(description="name of the connector, or package.module:factory")
    options: dict[str, Any] = Field(default_factory=dict, description="checked by the connector")
    fields: list[str] = Field(
        default=list(NOTE_FIELDS), min_length=1, description="fields of note.json that it may get"
    )
    metadata: list[str] = Field(
        default=["call_ref", "customer_ref", "queue", "agent", "team", "started_at", "direction"],
        description="metadata of the call that it may get",
    )
    mapping: Path | None = Field(
        None, description="YAML file, field of the target to template; default: the connector's"
    )
    tenant: str = Field("default", description="whose calls it gets")
    queues: list[str] = Field(
        default_factory=list, description="only calls of these queues; default: all"
    )
    automatic: bool = Field(
        True, description="whether `serve` sends every finished call there; else those that ask"
    )
    before_approval: Literal["wait", "send"] = Field(
        "wait", description="what happens to a note that a person must approve first"
    )
    rate: float = Field(10.0, gt=0, le=1000, description="deliveries a second")
    give_up_days: float = Field(
        7.0, gt=0, le=90, description="days of failing after which a person has to look"
    )
    link: str | None = Field(
        None,
        pattern=r"^https?://",
        description="page of the evidence, for example https://voice.example/calls/{call}",
    )


class Context(BaseModel):
    """What is asked of a CRM about the customer before the rules run."""

    model_config = ConfigDict(extra="forbid")

    target: str = Field(description="name of the target that is asked; read-only")
    fields: list[str] = Field(
        default_factory=list,
        description="what of its answer is used and kept; the connector's page says what there is",
    )


class Telemetry(BaseModel):
    """Where traces go."""

    model_config = ConfigDict(extra="forbid")

    otlp_endpoint: str | None = Field(
        None,
        pattern=r"^https?://",
        description="collector of traces, for example http://collector:4318/v1/traces; default: "
        "none, nothing is traced and nothing leaves",
    )
    otlp_headers: dict[str, str] = Field(
        default_factory=dict,
        repr=False,
        description="headers for it; values may be env:NAME or file:PATH",
    )


REFERENCE = "^(env|file):.+"  # a secret stands elsewhere; the settings say where


class Blobs(BaseModel):
    """A bucket for the blobs."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(description="s3://BUCKET/PREFIX")
    endpoint: str | None = Field(None, description="of a server that is not Amazon's")
    region: str | None = Field(None, description="of the bucket")
    access_key: str | None = Field(None, pattern=REFERENCE, description="env:NAME or file:PATH")
    secret_key: str | None = Field(None, pattern=REFERENCE, description="env:NAME or file:PATH")


class Settings(BaseSettings):
    """Everything that may be set from outside."""

    model_config = SettingsConfigDict(
        env_prefix="VOICE_PIPELINE_", env_nested_delimiter="__", extra="forbid"
    )

    data: Path = Field(Path("voice-pipeline-data"), description="the data folder: state, keys")
    database: str | None = Field(
        None,
        repr=False,  # it may hold a password
        description="where calls are listed: `postgresql://USER@HOST/NAME`, or `env:NAME` or "
        "`file:PATH` that hold such a URL; default: SQLite in the data folder",
    )
    blobs: Blobs | None = Field(
        None,
        description="where sealed audio and records lie: a table with `url` (s3://BUCKET/PREFIX) "
        "and, where needed, `endpoint`, `region`, and `access_key` and `secret_key` as `env:NAME` "
        "or `file:PATH`; default: the data folder",
    )
    master_key: str | None = Field(
        None,
        pattern=REFERENCE,
        description="the key that seals the calls' keys, `env:NAME` or `file:PATH` of 32 bytes in "
        "hex or base64; default: `master.key` in the data folder",
    )
    other_master_keys: list[Annotated[str, Field(pattern=REFERENCE)]] = Field(
        default_factory=list,
        description="further keys that still open, while `master-key rotate` has not ended",
    )
    signing_key: str | None = Field(
        None,
        pattern=REFERENCE,
        description="the key that signs redaction logs, as `master_key`; default: `signing.key` "
        "in the data folder",
    )
    models: Path | None = Field(
        None, description="folder of downloaded models; default: `models` in the data folder"
    )
    transcriber: Part = Field(
        default_factory=lambda: Part(use="auto"), description="how speech becomes words"
    )
    diarizer: Part = Field(
        default_factory=lambda: Part(use="auto"), description="how speakers are told apart"
    )
    analyst: Part = Field(
        default_factory=lambda: Part(use="offline"), description="who writes the case note"
    )
    embedder: Part | None = Field(
        None,
        description="how texts become vectors, for example `local` with the option `path`; "
        "default: none, likeness is counted in words",
    )
    redaction: str = Field(
        "balanced", description="redaction profile: precise, balanced, paranoid, or a YAML file"
    )
    muting: Muting = Field(
        default_factory=lambda: Muting(fill="silence", fade=0.0),
        description="how muted audio sounds: `fill` silence or tone, `fade` 0 to 0.05 seconds "
        "outside each window (0: every sample outside the windows is the very same)",
    )
    second_listen: Literal["off", "note", "hold"] = Field(
        "off",
        description="hear the muted audio again with another recognizer; a number heard holds the "
        "call, a listener that does not hear the control piece is noted, or holds it too",
    )
    policy: Path | None = Field(None, description="policy pack folder; default: the shipped pack")
    oidc: Oidc | None = Field(
        None,
        description="bearer tokens of an identity provider: `issuer`, `audience`, `jwks`, and what "
        "their claims mean; default: API keys only (docs/security.md)",
    )
    limits: Limits = Field(
        default_factory=lambda: Limits(rate=50.0, burst=100, failed_logins=10),
        description="requests of one principal: `rate` a second, `burst` at once; `failed_logins` "
        "of one address at once",
    )
    erase: Erase = Field(
        default_factory=lambda: Erase(four_eyes=False),
        description="how calls are erased: `four_eyes` true: one asks, somebody else agrees",
    )
    serve: Serve = Field(
        default_factory=lambda: Serve.model_validate({}),
        description="limits of the running service",
    )
    targets: dict[str, Target] = Field(
        default_factory=dict,
        description="where notes go: a table a target with `use` and `options` of its connector "
        "(docs/integrations), `fields`, `mapping`, `tenant`, `queues`, `rate` and more",
    )
    context: Context | None = Field(
        None,
        description="a CRM that is asked about the customer by the call's customer_ref, read-only: "
        "`target` and the `fields` that are used; default: none, only our own calls are counted",
    )
    telemetry: Telemetry = Field(
        default_factory=lambda: Telemetry.model_validate({}),
        description="traces: `otlp_endpoint` of a collector, `otlp_headers`; default: none",
    )
    phone_country: str | None = Field(
        None,
        pattern=r"^[1-9]\d{0,3}$",
        description="calling code, for example 44, of phone numbers that begin with one 0",
    )
    jobs: int = Field(1, ge=1, le=64, description="calls worked on at once by `process`")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load_settings(file: Path | None = None, **given: Any) -> Settings:
    """Read the settings; dependencies that phone home are silenced first.

    Args:
        file: a TOML file; None: no file.
        given: what the command line says; None values are left to the other sources.

    Raises:
        Misconfigured: the file is missing or broken, or a key or value does not fit.
    """
    quiet_dependencies()
    if file is not None and not file.is_file():
        raise Misconfigured(f"{file}: no such configuration file; check --config")

    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=file)

    try:
        return FromFile(**{key: value for key, value in given.items() if value is not None})
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
            for fault in error.errors(include_input=False, include_url=False)
        )
        raise Misconfigured(f"{file or 'settings'}: {faults}") from None
    except ValueError as error:  # TOML that does not parse
        raise Misconfigured(f"{file}: not valid TOML ({error})") from error


def models_dir(settings: Settings) -> Path:
    """Return the folder of downloaded models."""
    return settings.models or settings.data / "models"


def secret(reference: str) -> str:
    """Return the secret that `env:NAME` or `file:PATH` points at.

    Raises:
        Misconfigured: there is none. The message names the place, never the value.
    """
    kind, _, place = reference.partition(":")
    if kind == "env":
        value = os.environ.get(place, "").strip()
        where = f"the environment variable {place}"
    else:
        where = f"the file {place}"
        try:
            value = Path(place).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise Misconfigured(f"{where} cannot be read ({type(error).__name__})") from None
    if not value or not value.isascii() or not value.isprintable():
        raise Misconfigured(f"{where} holds no key")
    return value


def given_secret(text: str) -> str:
    """Return what a setting says itself, or the secret that it points at."""
    return secret(text) if text.startswith(("env:", "file:")) else text


def allow_downloads() -> None:
    """Let this process fetch models: a person has asked for it. Before the hub's library loads."""
    os.environ["HF_HUB_OFFLINE"] = "0"


def quiet_dependencies() -> None:
    """Switch off the telemetry and downloads of dependencies for this process."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
