"""Puts the files of a policy pack together into one record, remembering where each part stands.

A file that no one asked for, an unknown key or a value that does not fit is a fault. Whether the
parts fit each other is for `check` to say.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from voice_pipeline.errors import Misconfigured
from voice_pipeline.policy.notify import Notify
from voice_pipeline.policy.pack import (
    Drafts,
    Manifest,
    NoteForm,
    Pack,
    Prompt,
    Retention,
    Routing,
    Rule,
    Signal,
    Taxonomy,
    Thresholds,
    Vocabulary,
)
from voice_pipeline.policy.prompts import read_prompt
from voice_pipeline.policy.source import Fault, Place, Refused, Source, read, validated

Model = TypeVar("Model", bound=BaseModel)

_SINGLE: dict[str, type[BaseModel]] = {
    "pack.yaml": Manifest,
    "taxonomy.yaml": Taxonomy,
    "routing.yaml": Routing,
    "thresholds.yaml": Thresholds,
    "retention.yaml": Retention,
    "note.yaml": NoteForm,
    "drafts.yaml": Drafts,
    "vocabulary.yaml": Vocabulary,
    "notify.yaml": Notify,
}
# A pack may leave these out: it then has the shipped form of a note, no drafts, no own words, and
# escalations are listed and nobody is sent a notice.
_OPTIONAL: dict[str, BaseModel | None] = {
    "note.yaml": NoteForm(),
    "drafts.yaml": None,
    "vocabulary.yaml": Vocabulary(),
    "notify.yaml": Notify(),
}
_FOLDERS: dict[str, type[BaseModel]] = {"signals": Signal, "rules": Rule}


class Origins:
    """Where each part of a pack was written, so that later checks can name the line."""

    def __init__(self) -> None:
        self._places: dict[tuple[str, str], tuple[Source, Place]] = {}

    def add(self, kind: str, key: str, source: Source, place: Place) -> None:
        self._places[kind, key] = (source, place)

    def fault(self, kind: str, key: str, message: str, *inner: str | int) -> Fault:
        source, place = self._places[kind, key]
        return Fault(source.path, source.line((*place, *inner)), message)

    def __contains__(self, part: tuple[str, str]) -> bool:
        return part in self._places


def fingerprint(folder: Path) -> str:
    """Return the sha256 over the names and bytes of all files of a pack."""
    digest = hashlib.sha256()
    for path in _files(folder):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()


def assemble(folder: Path) -> tuple[Pack, Origins]:
    """Read a pack's files into one record, checking each file by itself.

    Raises:
        Refused: with every fault found.
    """
    faults: list[Fault] = []
    origins = Origins()
    if not folder.is_dir():
        raise Refused([Fault(folder, 1, "is not a folder with a policy pack")])
    faults.extend(_unasked(folder))
    parts: dict[str, Any] = {}
    for name, model in _SINGLE.items():
        if name in _OPTIONAL and not (folder / name).exists():
            parts[name] = _OPTIONAL[name]
            continue
        try:
            source = read(folder / name)
            parts[name] = validated(source, model, source.data)
            origins.add("file", name, source, ())
        except Refused as refused:
            faults.extend(refused.faults)
    for name, model in _FOLDERS.items():
        parts[name] = []
        for path in sorted((folder / name).glob("*.yaml")):
            parts[name].extend(_entries(path, name, model, origins, faults))
    prompts = list(_prompts(folder / "prompts", faults))
    if faults:
        raise Refused(faults)
    pack = Pack(
        path=folder,
        sha256=fingerprint(folder),
        manifest=parts["pack.yaml"],
        taxonomy=parts["taxonomy.yaml"],
        routing=parts["routing.yaml"],
        thresholds=parts["thresholds.yaml"],
        retention=parts["retention.yaml"],
        signals=tuple(parts["signals"]),
        rules=tuple(parts["rules"]),
        note=parts["note.yaml"],
        drafts=parts["drafts.yaml"],
        vocabulary=parts["vocabulary.yaml"],
        notify=parts["notify.yaml"],
        prompts=tuple(prompts),
    )
    return pack, origins


def _entries(
    path: Path, kind: str, model: type[Model], origins: Origins, faults: list[Fault]
) -> Iterator[Model]:
    try:
        source = read(path)
    except Refused as refused:
        faults.extend(refused.faults)
        return
    if not isinstance(source.data, list):
        faults.append(Fault(path, 1, f"is not a list of {kind}"))
        return
    for index, entry in enumerate(source.data):
        try:
            found = validated(source, model, entry, (index,))
        except Refused as refused:
            faults.extend(refused.faults)
            continue
        key = getattr(found, "id")  # noqa: B009 - both models have one
        if (kind, key) in origins:
            faults.append(Fault(path, source.line((index,)), f"{key} is defined twice"))
            continue
        origins.add(kind, key, source, (index,))
        yield found


def _prompts(folder: Path, faults: list[Fault]) -> Iterator[Prompt]:
    taken: set[str] = set()
    for path in sorted(folder.glob("*.md")):
        try:
            prompt = read_prompt(path)
        except Refused as refused:
            faults.extend(refused.faults)
            continue
        if prompt.id in taken:
            faults.append(Fault(path, 2, f"{prompt.id} is defined twice"))
        taken.add(prompt.id)
        yield prompt


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise Misconfigured(
            f"no policy pack at {folder}; name a folder that holds a pack.yaml", code="policy_pack"
        )
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    )


def _unasked(folder: Path) -> Iterator[Fault]:
    """Text and markdown files are welcome anywhere; YAML that nothing reads is a mistake."""
    for path in _files(folder):
        inside = path.relative_to(folder)
        if path.suffix not in (".yaml", ".yml"):
            continue
        if inside.as_posix() in _SINGLE:
            continue
        if len(inside.parts) == 2 and inside.parts[0] in _FOLDERS and path.suffix == ".yaml":
            continue
        yield Fault(path, 1, "no part of a pack has this name")
