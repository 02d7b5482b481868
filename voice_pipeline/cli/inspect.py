"""The commands that look: policy check, models list and verify, calls list."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from voice_pipeline import catalogue
from voice_pipeline.config import load_settings
from voice_pipeline.errors import BadInput
from voice_pipeline.kit import models_dir
from voice_pipeline.policy.check import check
from voice_pipeline.policy.load import DEFAULT

FAULT = 1


def check_policy(pack: Path | None) -> int:
    """Print every fault as FILE:LINE: what is wrong; return 1 if there is one."""
    folder = pack or DEFAULT
    if not folder.is_dir():
        raise BadInput(f"{folder}: no such policy pack; name its folder", code="not_found")
    faults = check(folder)
    for fault in faults:
        print(fault)
    if not faults:
        print(f"{folder}: ok", file=sys.stderr)
    return FAULT if faults else 0


def list_models(data: Path | None, config: Path | None, *, as_json: bool) -> int:
    folder = models_dir(load_settings(config, data=data))
    rows = [
        {
            "name": model.name,
            "kind": model.kind,
            "here": catalogue.present(model.name, folder),
            "size": model.size,
            "licence": model.licence,
            "for": model.purpose,
        }
        for model in catalogue.models()
    ]
    if as_json:
        print(json.dumps(rows, indent=2))
        return 0
    table = Table(*rows[0])
    for row in rows:
        table.add_row(
            *("yes" if v is True else "no" if v is False else str(v) for v in row.values())
        )
    Console(highlight=False).print(table)
    return 0


def verify_models(data: Path | None, config: Path | None) -> int:
    folder = models_dir(load_settings(config, data=data))
    faulty = 0
    for model in catalogue.models():
        if catalogue.present(model.name, folder):
            verdict = catalogue.verify(model.name, folder)
            faulty += not verdict.ok
            print(f"{model.name}: {'ok' if verdict.ok else verdict.detail}")
    return FAULT if faulty else 0


def list_calls(data: Path | None, config: Path | None, *, as_json: bool) -> int:
    from voice_pipeline.store import Store

    settings = load_settings(config, data=data)
    if not (settings.data / "calls.db").is_file():
        raise BadInput(f"{settings.data}: no data folder here; name one with --data")
    store = Store(settings.data)
    rows = []
    for call in store.list_calls():
        stages = store.progress(call)
        rows.append({"call_id": call, "stages_done": sum(s.seconds is not None for s in stages)})
    store.close()
    if as_json:
        print(json.dumps(rows, indent=2))
    else:
        for row in rows:
            print(f"{row['call_id']}  {row['stages_done']} stages done")
    return 0
