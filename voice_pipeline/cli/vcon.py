"""`vcon`: released calls out as vCon files, and any vCon checked. Heavy parts load inside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

vcon_app = typer.Typer(help="Calls as IETF vCon files.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]


@vcon_app.command(
    "export",
    epilog="Example: voice-pipeline --data state vcon export CALL --out call.vcon --sign "
    "--key vcon.key --cert vcon.pem",
)
def export(
    context: typer.Context,
    calls: Annotated[
        list[str] | None,
        typer.Argument(help="Call ids, or result folders of `process`. [default: all released]"),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="A folder for CALL.vcon files, or a file for one call.")
    ] = Path(),
    sign: Annotated[
        bool, typer.Option("--sign", help="Sign them: JWS, RS256; needs --key and --cert.")
    ] = False,
    key: Annotated[Path | None, typer.Option(help="Private RSA key, PEM.")] = None,
    cert: Annotated[
        Path | None, typer.Option(help="Its certificate, then who issued it, PEM.")
    ] = None,
    audio_url: Annotated[
        str | None,
        typer.Option(help="https URL where readers get the audio, with {call}. [default: inside]"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write released calls as vCon files: redacted words, muted audio, note, flags, log."""
    from voice_pipeline.cli.exchange import Request, export

    raise typer.Exit(
        export(
            Request(
                calls=tuple(calls or ()),
                out=out,
                sign=sign,
                key=key,
                certificates=cert,
                audio_url=audio_url,
                data=context.obj["data"],
                config=context.obj["config"],
                as_json=as_json,
            )
        )
    )


@vcon_app.command("verify", epilog="Example: voice-pipeline vcon verify call.vcon --ca ca.pem")
def verify(
    file: Annotated[Path, typer.Argument(help="A vCon file.")],
    cert: Annotated[
        Path | None, typer.Option(help="Certificate of who must have signed, PEM.")
    ] = None,
    ca: Annotated[
        Path | None, typer.Option(help="Certificates of who must vouch for the signer, PEM.")
    ] = None,
    files: Annotated[
        Path | None,
        typer.Option(help="Folder with the files that it refers to, by the name in their URL."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check a vCon: every rule of the draft, hashes, signatures, certificates. Fetches nothing."""
    from voice_pipeline.cli.exchange import verify

    raise typer.Exit(verify(file, cert=cert, ca=ca, files=files, as_json=as_json))
