"""The commands that look: policy check, models list and verify, calls list."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from voice_pipeline import catalogue
from voice_pipeline.config import load_settings, models_dir
from voice_pipeline.errors import BadInput

FAULT = 1


def check_policy(pack: Path | None) -> int:
    """Print every fault as FILE:LINE: what is wrong; return 1 if there is one."""
    from voice_pipeline.policy.check import check
    from voice_pipeline.policy.load import DEFAULT

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
            "pinned": _pinned(model, folder),
            "size": model.size,
            "memory": model.memory or None,
            "languages": model.languages or None,
            "licence": model.licence,
            "for": model.purpose,
            "good_for": model.good_for or None,
        }
        for model in catalogue.models()
    ]
    if as_json:
        print(json.dumps(rows, indent=2))
        return 0
    for row in rows:
        facts = (
            "here" if row["here"] else "not here",
            f"pinned: {row['pinned'] or 'no'}",
            _megabytes(row["size"]),
            *([f"memory {_megabytes(row['memory'])}"] if row["memory"] else []),
            *([f"languages: {row['languages']}"] if row["languages"] else []),
            str(row["licence"]),
        )
        good = f"; good for {row['good_for']}" if row["good_for"] else ""
        print(f"{row['name']}\n  {row['for']}{good}\n  {', '.join(facts)}")
    return 0


def _pinned(model: catalogue.Model, folder: Path) -> str | None:
    """Return what vouches for a model's bytes: a commit, hashes, or nothing."""
    if all(model.files.values()):
        return "catalogue"
    place = catalogue.place(model.name, folder)
    commit = catalogue.source(place).get("commit") or model.revision
    if commit:
        return commit[:12]
    return "hashes" if (place / catalogue.PINS).is_file() else None


def _megabytes(size: Any) -> str:
    return f"{size / 1e6:,.0f} MB" if size >= 1e6 else f"{size / 1e3:,.0f} kB"


def verify_models(data: Path | None, config: Path | None) -> int:
    folder = models_dir(load_settings(config, data=data))
    faulty = 0
    for model in catalogue.models():
        begun = model.hub and catalogue.place(model.name, folder).is_dir()
        if catalogue.present(model.name, folder) or begun:
            verdict = catalogue.verify(model.name, folder)
            faulty += not verdict.ok
            print(f"{model.name}: {'ok' if verdict.ok else verdict.detail}")
    return FAULT if faulty else 0


def list_calls(data: Path | None, config: Path | None, *, as_json: bool) -> int:
    from voice_pipeline.opening import has_store, open_store

    settings = load_settings(config, data=data)
    if not has_store(settings):
        raise BadInput(f"{settings.data}: no data folder here; name one with --data")
    store = open_store(settings)
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
