"""`log verify` and `log export`: what a compliance person and an auditor use.

Decides what goes into an export and how a verdict is printed. Refuses to export a call that has
not finished: evidence of half a call is none.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from voice_pipeline import __version__
from voice_pipeline.config import load_settings
from voice_pipeline.errors import BadInput, Misconfigured

if TYPE_CHECKING:
    from redaction.log_verify import Verdict
    from voice_pipeline.evidence import CallLog
    from voice_pipeline.kit import Kit

FAULT = 1


def verify(file: Path, signer: str | None, *, as_json: bool = False) -> int:
    """Print the verdict on a log or an export and return the exit code.

    Raises:
        BadInput: the file is not there, cannot be read, or is a zip of something else.
    """
    if not file.is_file():
        raise BadInput(
            f"{file}: no such file; name a redaction_log.jsonl or an export", code="not_found"
        )
    verdict = _verdict(file, signer)
    if as_json:
        document = {
            "ok": verdict.ok,
            "logs": verdict.logs,
            "records": verdict.records,
            "signer": verdict.fingerprint,
            "signer_checked": verdict.signer_checked,
            "faults": [
                {"kind": f.kind, "file": f.member or None, "line": f.line, "detail": f.detail}
                for f in verdict.faults
            ],
        }
        print(json.dumps(document, indent=2))
    else:
        print(verdict)
    return 0 if verdict.ok else FAULT


def _verdict(file: Path, signer: str | None) -> Verdict:
    from redaction.export_verify import NotAnExport, is_zip, verify_export
    from redaction.log_verify import verify_file

    try:
        return (verify_export if is_zip(file) else verify_file)(file, signer)
    except NotAnExport:
        raise BadInput(
            f"{file}: a zip, but not a redaction log export; name one that `log export` wrote",
            code="not_an_export",
        ) from None
    except OSError as error:
        raise BadInput(
            f"{file}: cannot be read ({error.strerror or type(error).__name__}); "
            "check its permissions",
            code="unreadable",
        ) from error


def export(
    calls: Sequence[str],
    *,
    out: Path,
    since: str | None,
    until: str | None,
    data: Path | None,
    config: Path | None,
    as_json: bool,
) -> int:
    """Write the logs of finished calls as one zip.

    Args:
        calls: call ids; empty: all.
        out: the zip; replaced when it exists.
        since: ISO 8601 date or time, UTC where it names no zone: first to be exported.
        until: the same; a date means its whole day.
        data: the data folder.
        config: the settings file.
        as_json: print what was written for a program.

    Raises:
        BadInput: no data folder, an unknown or unfinished call was named, nothing to export.
        Misconfigured: the zip cannot be written.
    """
    first, last = _moment(since, "--since"), _moment(until, "--until", end=True)
    from voice_pipeline.opening import has_store

    settings = load_settings(config, data=data)
    if not has_store(settings):
        raise BadInput(
            f"{settings.data}: no data folder here; name one with --data", code="not_found"
        )
    from redaction.export import Export, write_export
    from voice_pipeline.cli.show import steps
    from voice_pipeline.kit import Kit

    with Kit(settings) as kit:
        logs, left_out = _collect(kit, calls, first, last)
        part = out.with_name(f".{out.name}.{os.getpid()}.part")
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file, steps("exporting", len(logs)) as each:
                written: Export = write_export(
                    file,
                    ((f"{log.call}.{log.plan}", log.data) for log in logs),
                    kit.evidence.signer,
                    policies=kit.evidence.policies(),
                    made_by=f"voice-pipeline {__version__}",
                    each=each,
                )
            part.replace(out)
        except OSError as error:
            raise Misconfigured(
                f"{out}: cannot be written ({error.strerror or type(error).__name__}); "
                "make room or name another place with --out",
                code="output",
            ) from error
        finally:
            part.unlink(missing_ok=True)
    for sha in written.policies_missing:
        print(f"the text of policy {sha[:16]}... was not kept", file=sys.stderr)
    if as_json:
        document = {
            "file": str(out),
            "logs": written.logs,
            "records": written.records,
            "root": written.root,
            "signer": written.fingerprint,
            "left_out": left_out,
        }
        print(json.dumps(document, indent=2))
        return 0
    for call, why in left_out.items():
        print(f"left out: {call} ({why})", file=sys.stderr)
    print(f"{out}: {written.logs} log{'s' * (written.logs != 1)}, {written.records} records")
    print(f"signer: {written.fingerprint}")
    print("give the auditor the file, and the signer's fingerprint through another channel")
    return 0


def _collect(
    kit: Kit, calls: Sequence[str], first: datetime | None, last: datetime | None
) -> tuple[list[CallLog], dict[str, str]]:
    """The logs to export, and why calls have none."""
    from voice_pipeline.evidence import Missing

    unknown = [call for call in calls if call not in kit.store.list_calls()]
    if unknown:
        raise BadInput(
            f"{unknown[0]}: no such call in this data folder; see `calls list`", code="not_found"
        )
    logs: list[CallLog] = []
    left_out: dict[str, str] = {}
    for found in kit.evidence.logs(frozenset(calls)):
        if isinstance(found, Missing):
            left_out[found.call] = found.why
        elif (not first or _at(found) >= first) and (not last or _at(found) < last):
            logs.append(found)
    if calls and left_out:
        call, why = next(iter(left_out.items()))
        raise BadInput(f"{call}: has no log ({why}); leave it out", code="no_log")
    if not logs:
        raise BadInput("no finished call to export; process one, or widen the time", code="no_log")
    return logs, left_out


def _at(log: CallLog) -> datetime:
    return datetime.fromisoformat(log.time)


def _moment(text: str | None, option: str, *, end: bool = False) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(
            f"{option} takes an ISO 8601 date or time, for example {option} 2026-11-30",
            code="time",
        ) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    whole_day = end and len(text) <= len("2026-11-30") and moment.time() == time()
    return moment + timedelta(days=1) if whole_day else moment
