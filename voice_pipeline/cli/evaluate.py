"""`evaluate`: measure a part on labelled calls; figures with n and 95 % intervals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from voice_pipeline.building import build_diarizer, build_diarizers, build_transcriber
from voice_pipeline.config import Part, Settings, load_settings
from voice_pipeline.embedding import build_embedder
from voice_pipeline.errors import BadInput
from voice_pipeline.metrics.report import Report


def run(
    suite: str,
    data: Path | None,
    *,
    transcriber: str | None,
    profile: str,
    audio: Path | None,
    embeddings: Path | None,
    as_json: bool,
    settings_file: Path | None,
    state: Path | None,
    diarizer: str | None = None,
    mono: bool = False,
) -> int:
    settings = load_settings(settings_file, data=state)
    if suite == "redaction" and audio is not None:
        from voice_pipeline.metrics import muting

        report = muting.evaluate(audio, profile=profile)
    elif suite == "classification":
        from voice_pipeline.cli.classify import embedder
        from voice_pipeline.metrics import classification

        report = classification.evaluate(
            _truth(data), embedder=embedder(embeddings, settings_file, state)
        )
    elif suite in ("asr", "diarization"):
        report = _measure_speech(suite, _folder(data), settings, transcriber, diarizer, mono)
    else:
        report = _evaluate(suite, _truth(data), settings, profile)
    if as_json:
        print(json.dumps(report.as_json(), ensure_ascii=False, indent=2))
    else:
        show_report(report)
    return 0


def _folder(data: Path | None) -> Path:
    if data is None:
        raise BadInput("say what to measure on: --data DIR, a folder with truth.jsonl")
    return data


def _truth(data: Path | None) -> Path:
    data = _folder(data)
    if not (data / "truth.jsonl").is_file():
        raise BadInput(f"{data}: no truth.jsonl in this folder; docs/evaluation.md has its form")
    return data


def _measure_speech(
    suite: str,
    data: Path,
    settings: Settings,
    transcriber: str | None,
    diarizer: str | None,
    mono: bool,
) -> Report:
    part = settings.diarizer if diarizer is None else Part(use=diarizer)
    if suite == "asr":
        from voice_pipeline.metrics import asr

        return asr.evaluate(
            data,
            transcriber=build_transcriber(settings, transcriber),
            diarizer_for=build_diarizers(settings, part),
            mono=mono,
        )
    from voice_pipeline.metrics import diarization

    if part.use == "auto":
        return diarization.evaluate(data)
    return diarization.evaluate(data, diarizer=build_diarizer(settings, part))


def _evaluate(suite: str, data: Path, settings: Settings, profile: str) -> Report:
    if suite == "redaction":
        from voice_pipeline.metrics import redaction

        return redaction.evaluate(data, profile=profile)
    if suite == "escalation":
        from voice_pipeline.metrics import escalation

        return escalation.evaluate(data)
    if suite == "knowledge":
        from voice_pipeline.metrics import knowledge

        return knowledge.evaluate(data, embedder=build_embedder(settings.embedder))
    from voice_pipeline.metrics import summary

    return summary.evaluate(data)


def show_report(report: Report) -> None:
    """Print a report as a table: value, interval, n."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 160  # a file has room; cut columns help nobody
    table = Table(title=f"{report.suite}: {report.calls} calls", title_justify="left")
    for name in ("figure", "value", "95 % interval", "n", "of"):
        table.add_column(name, justify="left" if name in ("figure", "of") else "right")
    for figure in report.figures:
        interval = (
            f"{figure.low:.3f} – {figure.high:.3f}"
            if figure.low is not None and figure.high is not None
            else ""
        )
        table.add_row(figure.name, f"{figure.value:.3f}", interval, str(figure.n), figure.unit)
    console.print(table)
    for lines in (report.slices, report.rows):
        if lines:
            columns = list(lines[0])
            rows = Table(*columns)
            for row in lines:
                rows.add_row(*(_cell(row.get(column)) for column in columns))
            console.print(rows)
    for note in report.notes:
        console.print(f"note: {note}", markup=False)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, tuple):  # an interval
        return " – ".join(f"{end:.3f}" for end in value)
    return "" if value is None else str(value)
