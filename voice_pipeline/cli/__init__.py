"""The command `voice-pipeline`. Heavy parts load inside the command that needs them.

Decides exit codes: 0 ok, 1 a check found a fault, 2 usage, 3 bad input, 4 misconfigured,
5 finished with calls held for a person. Refuses to show a traceback for a known error.
"""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from voice_pipeline.cli.decide import decide_app
from voice_pipeline.cli.deliveries import deliveries_app, targets_app
from voice_pipeline.cli.keeping import backup, master_key_app
from voice_pipeline.cli.keys import access_log_app, keys_app
from voice_pipeline.cli.knowledge import knowledge_app
from voice_pipeline.cli.machine import machine_app
from voice_pipeline.cli.running import running_app
from voice_pipeline.cli.vcon import vcon_app
from voice_pipeline.cli.ways import ways_app
from voice_pipeline.errors import BadInput, Misconfigured, PipelineError

app = typer.Typer(
    name="voice-pipeline",
    help="Call recordings in; redacted, cited case notes with escalation flags out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # its boxes print source and can print locals
    add_completion=False,
    rich_markup_mode=None,
)
policy_app = typer.Typer(help="Rules, taxonomy and thresholds.", no_args_is_help=True)
models_app = typer.Typer(help="What models there are, and which are here.", no_args_is_help=True)
log_app = typer.Typer(help="Redaction logs.", no_args_is_help=True)
calls_app = typer.Typer(help="Calls in the data folder.", no_args_is_help=True)
app.add_typer(running_app)
app.add_typer(policy_app, name="policy")
app.add_typer(models_app, name="models")
app.add_typer(log_app, name="log")
app.add_typer(calls_app, name="calls")
calls_app.add_typer(decide_app)
app.add_typer(knowledge_app, name="knowledge")
app.add_typer(keys_app, name="keys")
app.add_typer(access_log_app, name="access-log")
app.add_typer(vcon_app, name="vcon")
app.add_typer(master_key_app, name="master-key")
app.command(epilog="Example: voice-pipeline --data state backup /backups/monday")(backup)
app.add_typer(deliveries_app, name="deliveries")
app.add_typer(targets_app, name="targets")
app.add_typer(machine_app)
app.add_typer(ways_app)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]


class AgentChannel(StrEnum):
    auto = "auto"
    left = "left"
    right = "right"


class Profile(StrEnum):
    precise = "precise"
    balanced = "balanced"
    paranoid = "paranoid"


class Suite(StrEnum):
    asr = "asr"
    diarization = "diarization"
    redaction = "redaction"
    classification = "classification"
    escalation = "escalation"
    summary = "summary"
    knowledge = "knowledge"


def main() -> None:
    """Run the command line and leave with a code of the contract."""
    try:
        app()
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(exit_code(error))
    except KeyboardInterrupt:
        print("stopped; run the same command again to go on", file=sys.stderr)
        sys.exit(130)


def exit_code(error: PipelineError) -> int:
    if isinstance(error, BadInput):
        return 3
    return 4 if isinstance(error, Misconfigured) else 1


@app.callback()
def root(
    context: typer.Context,
    data: Annotated[
        Path | None,
        typer.Option(help="Data folder: state, keys, models. [default: ./voice-pipeline-data]"),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Settings file (TOML).")] = None,
) -> None:
    """Call recordings in; redacted, cited case notes with escalation flags out."""
    context.obj = {"data": data, "config": config}


@app.command(epilog="Example: voice-pipeline process calls/ --out results")
def process(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(help="Recordings, or folders of them.")],
    out: Annotated[Path, typer.Option(help="Folder for the results, one folder a call.")],
    transcriber: Annotated[
        str | None, typer.Option(help="auto, faster_whisper, pocketsphinx, or your own.")
    ] = None,
    transcript: Annotated[
        Path | None,
        typer.Option(
            help="A transcript made elsewhere, instead of ours: a file for one recording, "
            "or a folder with NAME.* for each NAME.wav."
        ),
    ] = None,
    diarizer: Annotated[
        str | None, typer.Option(help="auto, channels, clustering, or your own.")
    ] = None,
    agent_channel: Annotated[
        AgentChannel, typer.Option(help="Which side of a stereo recording is the agent.")
    ] = AgentChannel.auto,
    language: Annotated[str, typer.Option(help="Language as ISO 639-1, or auto.")] = "auto",
    meta: Annotated[
        list[str] | None, typer.Option(help="Facts about the calls, K=V; may be repeated.")
    ] = None,
    deliver: Annotated[
        list[str] | None, typer.Option(help="Where finished notes go, for example folder:DIR.")
    ] = None,
    jobs: Annotated[int | None, typer.Option(help="Calls worked on at once.", min=1)] = None,
    as_json: Json = False,
) -> None:
    """Turn recordings into redacted transcripts, muted audio and case notes."""
    from voice_pipeline.cli.process import Request, run

    raise typer.Exit(
        run(
            Request(
                paths=tuple(paths),
                out=out,
                data=context.obj["data"],
                config=context.obj["config"],
                transcriber=transcriber,
                transcript=transcript,
                diarizer=diarizer,
                agent_channel=agent_channel.value,
                language=language,
                meta=tuple(meta or ()),
                targets=tuple(deliver or ()),
                jobs=jobs,
                as_json=as_json,
            )
        )
    )


@app.command(
    epilog='Example: echo \'{"id": 1, "text": "my pin is one two"}\' | voice-pipeline redact'
)
def redact(
    profile: Annotated[
        Profile, typer.Option(help="How much to take out when in doubt.")
    ] = Profile.balanced,
) -> None:
    """Redact JSON lines of text or turns from stdin to stdout."""
    from voice_pipeline.cli.redact import run

    raise typer.Exit(run(profile.value))


@app.command(epilog="Example: voice-pipeline analyse < calls.jsonl > notes.jsonl")
def analyse(
    context: typer.Context,
    analyst: Annotated[str, typer.Option(help="Who writes the note.")] = "offline",
) -> None:
    """Write case notes for JSON lines of turns; they are redacted first, whatever they are."""
    from voice_pipeline.cli.analyse import run

    raise typer.Exit(run(analyst, config=context.obj["config"], data=context.obj["data"]))


@app.command(
    epilog="Example: voice-pipeline classify --examples examples.csv < texts.jsonl > types.jsonl"
)
def classify(
    context: typer.Context,
    examples: Annotated[Path, typer.Option(help="CSV of text,label: how each type is asked for.")],
    embeddings: Annotated[
        Path | None, typer.Option(help="Folder of an embedding model. [default: words alone]")
    ] = None,
    corrections: Annotated[
        Path | None, typer.Option(help="File of people's corrections: further examples.")
    ] = None,
    auto_confidence: Annotated[
        float | None, typer.Option(help="Automatic from this confidence.", min=0, max=1)
    ] = None,
    auto_similarity: Annotated[
        float | None, typer.Option(help="Automatic from this similarity.", min=0, max=1)
    ] = None,
    error_rate: Annotated[
        float | None,
        typer.Option(
            help="Share of automatic answers that may be wrong. [default: 0.06]", min=0, max=1
        ),
    ] = None,
    tune: Annotated[
        Path | None,
        typer.Option(help="CSV of text,label to set the gates on. [default: the examples]"),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Do not state model and gates.")] = False,
) -> None:
    """Sort JSON lines of text into request types by examples, and say which are sure."""
    from voice_pipeline.cli.classify import Request, run

    raise typer.Exit(
        run(
            Request(
                examples,
                embeddings=embeddings,
                corrections=corrections,
                auto_confidence=auto_confidence,
                auto_similarity=auto_similarity,
                error_rate=error_rate,
                tune=tune,
                config=context.obj["config"],
                data=context.obj["data"],
                quiet=quiet,
            )
        )
    )


@app.command(epilog="Example: voice-pipeline evaluate asr --data samples")
def evaluate(
    context: typer.Context,
    suite: Suite,
    data: Annotated[
        Path | None, typer.Option(help="Folder with truth.jsonl, and audio where needed.")
    ] = None,
    transcriber: Annotated[
        str | None, typer.Option(help="asr: which engine; default: the one `process` would use.")
    ] = None,
    diarizer: Annotated[
        str | None, typer.Option(help="asr, diarization: who tells speakers apart.")
    ] = None,
    mono: Annotated[
        bool, typer.Option("--mono", help="asr: mix every call to one channel first.")
    ] = False,
    profile: Annotated[Profile, typer.Option(help="redaction: which profile.")] = Profile.balanced,
    audio: Annotated[
        Path | None,
        typer.Option(
            help="redaction: folder of spoken digits (zero/ to nine/), measures muting instead."
        ),
    ] = None,
    embeddings: Annotated[
        Path | None, typer.Option(help="classification: folder of an embedding model.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure a part on labelled calls: figures with n and 95 % intervals."""
    from voice_pipeline.cli.evaluate import run

    raise typer.Exit(
        run(
            suite.value,
            data,
            transcriber=transcriber,
            diarizer=diarizer,
            mono=mono,
            profile=profile.value,
            audio=audio,
            embeddings=embeddings,
            as_json=as_json,
            settings_file=context.obj["config"],
            state=context.obj["data"],
        )
    )


@policy_app.command("check", epilog="Example: voice-pipeline policy check my-pack/")
def policy_check(
    pack: Annotated[
        Path | None, typer.Argument(help="Pack folder. [default: the active pack]")
    ] = None,
) -> None:
    """Check a policy pack: every rule loads and its examples hold."""
    from voice_pipeline.cli.inspect import check_policy

    raise typer.Exit(check_policy(pack))


@models_app.command("list", epilog="Example: voice-pipeline models list")
def models_list(context: typer.Context, as_json: Json = False) -> None:
    """List the models the product knows, and which are here."""
    from voice_pipeline.cli.inspect import list_models

    raise typer.Exit(list_models(context.obj["data"], context.obj["config"], as_json=as_json))


@models_app.command(
    "pull", epilog="Example: voice-pipeline models pull whisper-small --revision main"
)
def models_pull(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A name of `models list`.")],
    revision: Annotated[
        str | None,
        typer.Option(help="Commit, tag or branch at the hub. [default: the one that is pinned]"),
    ] = None,
) -> None:
    """Fetch a model from its hub and pin its files. The only command that reaches out."""
    from voice_pipeline.cli.pull import run

    raise typer.Exit(run(name, revision, data=context.obj["data"], config=context.obj["config"]))


@models_app.command(
    "add", epilog="Example: voice-pipeline models add whisper-small /media/usb/small"
)
def models_add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A name of `models list`.")],
    folder: Annotated[Path, typer.Argument(help="Folder that holds the model's files.")],
) -> None:
    """Take a model from a folder, for machines that reach no hub, and pin its files."""
    from voice_pipeline.cli.pull import add

    raise typer.Exit(add(name, folder, data=context.obj["data"], config=context.obj["config"]))


@models_app.command("verify", epilog="Example: voice-pipeline models verify")
def models_verify(context: typer.Context) -> None:
    """Check the files of every model that is here against their hashes."""
    from voice_pipeline.cli.inspect import verify_models

    raise typer.Exit(verify_models(context.obj["data"], context.obj["config"]))


@log_app.command(
    "verify", epilog="Example: voice-pipeline log verify audit.zip --signer sha256:..."
)
def log_verify(
    file: Annotated[Path, typer.Argument(help="A redaction_log.jsonl, or an export.")],
    signer: Annotated[
        str | None, typer.Option(help="Fingerprint that the signing key must have.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check that a log or an export is whole, unchanged and in order, and who signed it."""
    from voice_pipeline.cli.log import verify

    raise typer.Exit(verify(file, signer, as_json=as_json))


@log_app.command("export", epilog="Example: voice-pipeline --data state log export --out audit.zip")
def log_export(
    context: typer.Context,
    calls: Annotated[list[str] | None, typer.Argument(help="Call ids. [default: all]")] = None,
    out: Annotated[Path, typer.Option(help="The zip to write.")] = Path("redaction-logs.zip"),
    since: Annotated[str | None, typer.Option(help="First time, ISO 8601, UTC.")] = None,
    until: Annotated[
        str | None, typer.Option(help="Last time; a date means its whole day.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make one zip for an auditor: logs, signed heads, proofs, key, policies, table and page."""
    from voice_pipeline.cli.log import export

    raise typer.Exit(
        export(
            calls or (),
            out=out,
            since=since,
            until=until,
            data=context.obj["data"],
            config=context.obj["config"],
            as_json=as_json,
        )
    )


@calls_app.command("list", epilog="Example: voice-pipeline --data state calls list")
def calls_list(context: typer.Context, as_json: Json = False) -> None:
    """List the calls in the data folder."""
    from voice_pipeline.cli.inspect import list_calls

    raise typer.Exit(list_calls(context.obj["data"], context.obj["config"], as_json=as_json))


@calls_app.command(
    "route",
    epilog="Example: voice-pipeline --data state calls route CALL --queue billing "
    "--reason 'asks about an invoice' --by 'M. Lee'",
)
def calls_route(
    context: typer.Context,
    call: Annotated[str, typer.Argument(help="Call id.")],
    queue: Annotated[str | None, typer.Option(help="Move the call to this queue.")] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Take the last move back.")] = False,
    reason: Annotated[str, typer.Option(help="Why; it is redacted before it is kept.")] = "",
    by: Annotated[str, typer.Option(help="Who decides.")] = "",
    as_json: Json = False,
) -> None:
    """Show where a call was sent and why, or correct it; every change stays in the history."""
    from voice_pipeline.cli.route import route

    raise typer.Exit(
        route(
            call,
            queue=queue,
            undo=undo,
            reason=reason,
            by=by,
            data=context.obj["data"],
            config=context.obj["config"],
            as_json=as_json,
        )
    )


@calls_app.command("routes", epilog="Example: voice-pipeline --data state calls routes")
def calls_routes(context: typer.Context, as_json: Json = False) -> None:
    """Count how many routes people corrected, with 95 % intervals, by queue."""
    from voice_pipeline.cli.route import routes

    raise typer.Exit(
        routes(data=context.obj["data"], config=context.obj["config"], as_json=as_json)
    )
