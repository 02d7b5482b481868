"""What `vcon` does: files out of a data folder, and a verdict on any file.

Decides where files go and how a verdict is printed. Refuses to sign with what does not fit, and to
write anything of a held call; each call that leaves is in the access log first.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from voice_pipeline import audio
from voice_pipeline.access.log import AccessLog
from voice_pipeline.cli import show
from voice_pipeline.cli.access import account
from voice_pipeline.config import load_settings
from voice_pipeline.errors import BadInput, Misconfigured
from voice_pipeline.results import VCON, vcon_file
from voice_pipeline.vcon import Credentials, Verdict, load_credentials, read, sign
from voice_pipeline.vcon import verify as check
from voice_pipeline.vcon.chain import load_certificates
from voice_pipeline.vcon.forms import LARGEST

if TYPE_CHECKING:
    from voice_pipeline.kit import Kit
    from voice_pipeline.pipeline import Outcome

FAULT = 1


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asked for."""

    calls: tuple[str, ...]
    out: Path
    sign: bool
    key: Path | None
    certificates: Path | None
    audio_url: str | None
    data: Path | None
    config: Path | None
    as_json: bool


def export(request: Request) -> int:
    """Write the files and return the exit code.

    Raises:
        BadInput: an unknown, unfinished or held call was named, or there is none to write.
        Misconfigured: the key cannot be used, or a file cannot be written.
    """
    credentials = load_credentials(request.key, request.certificates) if request.sign else None
    folders = [Path(name) for name in request.calls if (Path(name) / "result.json").is_file()]
    named = [name for name in request.calls if Path(name) not in folders]
    if request.audio_url is not None and folders:
        raise BadInput("--audio-url is for calls of a data folder, not for results",
                       code="vcon_url")  # fmt: skip
    single = len(request.calls) == 1 and not request.out.is_dir()
    written, left_out = list[dict[str, str]](), list[str]()
    for call, data in _files(request, folders, named, left_out):
        path = request.out if single else request.out / f"{call}.vcon"
        _write(path, _signed(data, credentials))
        written.append({"call": call, "file": str(path)})
    if request.as_json:
        print(json.dumps({"files": written, "held": left_out, "signed": request.sign}, indent=2))
        return 0
    for one in written:
        print(f"{one['file']}: call {one['call']}{', signed' if credentials else ''}")
    if left_out:
        print(f"left out: {len(left_out)} held for a person", file=sys.stderr)
    return 0


def _files(
    request: Request, folders: list[Path], named: list[str], left_out: list[str]
) -> Iterator[tuple[str, bytes]]:
    """Yield each call with its unsigned file; held ones are left out unless they were named."""
    for folder in folders:
        yield _of_results(folder)
    if folders and not named:
        return
    from voice_pipeline.opening import has_store

    settings = load_settings(request.config, data=request.data)
    if not has_store(settings):
        raise BadInput(
            f"{settings.data}: no data folder here; name one with --data", code="not_found"
        )
    from voice_pipeline.kit import Kit

    with Kit(settings) as kit:
        log = AccessLog(kit.store.database, kit.store.signing_seed())
        newest = {call: (plan, outcome) for call, plan, outcome in kit.engine.finished_runs()}
        known = kit.store.list_calls()
        for call in named:
            if call not in newest:
                what = "has not finished, or was erased" if call in known else "no such call"
                raise BadInput(f"{call}: {what}; see `calls list`", code="not_found")
        wanted = named or sorted(set(newest) & set(known))
        if not wanted:
            raise BadInput("no finished call to export; process one first", code="not_found")
        with show.steps("exporting", len(wanted)) as step:
            for call in wanted:
                plan, outcome = newest[call]
                if outcome.status == "held" and not named:
                    left_out.append(call)
                    continue
                url = request.audio_url.replace("{call}", call) if request.audio_url else None
                data = _of_call(kit, outcome, plan, url)
                log.append(None, "vcon.read", "vcon", call=call, address="command line",
                           account=account())  # fmt: skip
                yield call, data
                step()


def _of_call(kit: Kit, outcome: Outcome, plan: str, audio_url: str | None) -> bytes:
    return vcon_file(kit.result(outcome, plan), kit.store.shelf, audio_url=audio_url).read()


def _of_results(folder: Path) -> tuple[str, bytes]:
    path = folder / VCON
    if not path.is_file():
        raise BadInput(f"{folder}: has no {VCON}: the call is held, and nothing of it leaves",
                       code="held")  # fmt: skip
    return folder.resolve().name, path.read_bytes()


def _signed(data: bytes, credentials: Credentials | None) -> bytes:
    if credentials is None:
        return data
    form = read(data)
    if form.kind != "unsigned":
        raise BadInput("the file is signed already", code="vcon_damaged")
    return sign(data.rstrip(b"\n"), str(form.document.get("uuid", "")), credentials)


def _write(path: Path, data: bytes) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        raise Misconfigured(
            f"{path}: cannot be written ({error.strerror or type(error).__name__}); "
            "make room or name another place with --out",
            code="output",
        ) from error
    finally:
        part.unlink(missing_ok=True)


def verify(
    file: Path, *, cert: Path | None, ca: Path | None, files: Path | None, as_json: bool
) -> int:
    """Print the verdict on a vCon and return the exit code.

    Raises:
        BadInput: the file is not there, is no vCon, is encrypted, or must not be read here.
    """
    try:
        with file.open("rb") as source:
            data = source.read(LARGEST + 1)
    except OSError as error:
        raise BadInput(
            f"{file}: cannot be read ({error.strerror or type(error).__name__})", code="unreadable"
        ) from error
    try:
        verdict = check(
            data,
            certificates=load_certificates(cert) if cert else (),
            authorities=load_certificates(ca) if ca else (),
            fetch=_beside(files),
            channels=channels_of,
        )
    except BadInput as error:
        raise BadInput(f"{file}: {error.message}", code=error.code) from None
    print(json.dumps(_as_json(verdict), indent=2) if as_json else "\n".join(_told(verdict)))
    return 0 if verdict.ok else FAULT


def _told(verdict: Verdict) -> Iterator[str]:
    uuid = verdict.document.get("uuid")
    yield f"{verdict.form} vCon {show.printable(str(uuid))[:40] if uuid else 'without UUID'}"
    for number, one in enumerate(verdict.signatures):
        state = "does not hold" if one.faults else "holds"
        yield f"signature {number} {state}: {one.algorithm or '?'} by {one.signer or '?'}"
    if verdict.signatures and not verdict.signer_checked:
        yield "integrity only, signer not checked: name who must have signed with --cert or --ca"
    if not verdict.signatures:
        yield "not signed: whoever had it could change it"
    if verdict.unread:
        yield f"{verdict.unread} referenced file(s) not checked: name their folder with --files"
    for fault in verdict.faults:
        yield f"fault: {fault}"
    yield "ok" if verdict.ok else f"{len(verdict.faults)} fault(s)"


def _as_json(verdict: Verdict) -> dict[str, Any]:
    return {
        "ok": verdict.ok,
        "form": verdict.form,
        "uuid": verdict.document.get("uuid"),
        "signatures": [
            {"algorithm": one.algorithm, "signer": one.signer, "holds": not one.faults}
            for one in verdict.signatures
        ],
        "signer_checked": verdict.signer_checked,
        "files_not_checked": verdict.unread,
        "faults": [{"where": one.where, "what": one.what} for one in verdict.faults],
    }


def _beside(folder: Path | None) -> Callable[[str], bytes | None]:
    def fetch(url: str) -> bytes | None:
        name = PurePosixPath(unquote(urlsplit(url).path)).name
        if folder is None or not name or not (folder / name).is_file():
            return None
        return (folder / name).read_bytes()

    return fetch


def channels_of(sound: bytes) -> int | None:
    try:
        return audio.probe(io.BytesIO(sound)).channels
    except BadInput:
        return None
