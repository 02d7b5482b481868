"""`doctor`: what is installed, what is missing, what that costs, and how to get it."""

from __future__ import annotations

import json
import platform
import shutil
import sqlite3
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.text import Text

from voice_pipeline import __version__, catalogue
from voice_pipeline.config import Settings, load_settings
from voice_pipeline.errors import PipelineError

LOW_DISK = 2 << 30  # bytes; a day of sealed recordings of a small team


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    state: Literal["ok", "absent", "fault"]
    found: str
    cost: str = ""  # what its absence costs
    cure: str = ""  # how to get it


def run(data: Path | None, config: Path | None, *, as_json: bool) -> int:
    settings = load_settings(config, data=data)
    checks = [
        Check("voice-pipeline", "ok", f"{__version__} on Python {platform.python_version()}"),
        *_packages(),
        *_models(settings),
        _cuda(),
        _policy(settings),
        _search(),
        _disk(settings.data),
    ]
    if as_json:
        print(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        _print(checks)
    return 1 if any(check.state == "fault" for check in checks) else 0


def _packages() -> list[Check]:
    known = (
        ("faster-whisper", "speech with Whisper models is not possible", ""),
        ("pocketsphinx", "no speech recognition without a downloaded model", ""),
        ("presidio-analyzer", "written forms of personal data are found less well", ""),
        ("dbos", "nothing can be processed", ""),
        (
            "pyannote.audio",
            "mono calls are told apart by clustering, which knows one or two speakers",
            "pip install 'voice-pipeline[pyannote]' (brings torch)",
        ),
    )
    checks = []
    for name, cost, cure in known:
        try:
            checks.append(Check(name, "ok", version(name)))
        except PackageNotFoundError:
            state: Literal["absent", "fault"] = "absent" if cure else "fault"
            checks.append(Check(name, state, "not installed", cost, cure or f"pip install {name}"))
    return checks


def _models(settings: Settings) -> list[Check]:
    folder = settings.models or settings.data / "models"
    checks = []
    for model in catalogue.models():
        here = catalogue.present(model.name, folder)
        checks.append(
            Check(
                f"model {model.name}",
                "ok" if here else "absent",
                "present" if here else f"not in {folder}",
                "" if here else model.without,
                "" if here else model.how_to_get(folder),
            )
        )
    return checks


def _cuda() -> Check:
    if find_spec("ctranslate2") is None:
        return Check("GPU", "absent", "ctranslate2 is not installed")
    import ctranslate2

    count = ctranslate2.get_cuda_device_count()
    if count:
        return Check("GPU", "ok", f"{count} CUDA device(s)")
    return Check("GPU", "absent", "none", "speech recognition runs on the CPU, many times slower")


def _policy(settings: Settings) -> Check:
    from voice_pipeline.policy.load import load_pack

    try:
        pack = load_pack(settings.policy)
    except PipelineError as error:
        return Check("policy pack", "fault", error.message, "no call can be analysed",
                     "voice-pipeline policy check")  # fmt: skip
    return Check("policy pack", "ok", f"{pack.id} {pack.version}, {len(pack.rules)} rules")


def _search() -> Check:
    with sqlite3.connect(":memory:") as db:
        options = {row[0] for row in db.execute("pragma compile_options")}
    if "ENABLE_FTS5" in options:
        return Check("SQLite", "ok", f"{sqlite3.sqlite_version} with full-text search")
    return Check("SQLite", "absent", f"{sqlite3.sqlite_version} without FTS5", "search is slower")


def _disk(folder: Path) -> Check:
    free = shutil.disk_usage(existing(folder)).free
    found = f"{free / (1 << 30):.1f} GiB free for {folder}"
    if free < LOW_DISK:
        return Check("disk", "fault", found, "processing will stop when it is full", "make room")
    return Check("disk", "ok", found)


def existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that is there."""
    while not folder.exists():
        folder = folder.parent
    return folder


def _print(checks: list[Check]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    marks = {"ok": ("✓", "green"), "absent": ("–", "yellow"), "fault": ("✗", "red")}
    width = max(len(check.name) for check in checks)
    for check in checks:
        mark, style = marks[check.state]
        line = Text(f"{mark} ", style=style)
        line.append(f"{check.name:<{width}}  ", style="bold")
        line.append(check.found, style="default")
        console.print(line)
        for text in filter(None, (check.cost, check.cure)):
            console.print(Text(f"  {'':<{width}}  {text}", style="dim"))
