"""`evaluate`: measure a part on labelled calls; figures with n and 95 % intervals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from voice_pipeline.config import load_settings
from voice_pipeline.errors import BadInput
from voice_pipeline.kit import build_embedder, build_transcriber
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
    else:
        report = _evaluate(suite, _truth(data), settings, transcriber, profile)
    if as_json:
        print(json.dumps(report.as_json(), ensure_ascii=False, indent=2))
    else:
        show_report(report)
    return 0


def _truth(data: Path | None) -> Path:
    if data is None:
        raise BadInput("say what to measure on: --data DIR, a folder with truth.jsonl")
    if not (data / "truth.jsonl").is_file():
        raise BadInput(f"{data}: no truth.jsonl in this folder; see docs/evaluation.md")
    return data


def _evaluate(
    suite: str, data: Path, settings: Any, transcriber: str | None, profile: str
) -> Report:
    if suite == "asr":
        from voice_pipeline.metrics import asr

        return asr.evaluate(data, transcriber=build_transcriber(settings, transcriber))
    if suite == "diarization":
        from voice_pipeline.metrics import diarization

        return diarization.evaluate(data)
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
    if report.rows:
        columns = list(report.rows[0])
        rows = Table(*columns)
        for row in report.rows:
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
