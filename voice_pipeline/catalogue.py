"""Which models there are, where they lie, and whether they are the ones we mean.

Reads `models/catalogue.toml` and compares files with their sha256. Refuses a model whose bytes it
cannot vouch for: an unknown hash counts only when the operator pinned it in a SHA256SUMS file.
It never touches the network.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from voice_pipeline.errors import Misconfigured

PINS = "SHA256SUMS"  # the operator's own hashes, in the format of sha256sum(1)
SOURCE = "SOURCE.json"  # where a folder model came from: repository and commit, or folder
OURS = frozenset({PINS, SOURCE})

Kind = Literal["artefact", "bundled", "folder", "package"]


@dataclass(frozen=True, slots=True)
class Model:
    """One entry of the catalogue."""

    name: str
    kind: Kind
    purpose: str
    licence: str
    size: int  # bytes
    files: Mapping[str, str]  # relative path -> sha256; "" where it is not known to us
    card: str  # file in models/cards
    without: str  # what its absence costs, one sentence
    source: str = ""  # recipe or origin
    hub: str = ""  # repository id on the model hub
    package: str = ""  # Python package that carries or loads it
    folder: str = ""  # folder inside the package
    size_is: str = "exact"  # exact | approximate
    rank: int = 0  # 1 is taken first where several do the same; 0: not ranked
    revision: str = ""  # commit at the hub; "": nobody has pinned one, so a person names it
    languages: str = ""  # ISO 639-1, or about how many
    memory: int = 0  # bytes while it works, approximate; 0: not worth telling
    good_for: str = ""  # one sentence: for what, on which machine

    def how_to_get(self, models_dir: Path) -> str:
        """Return one line that says what to do."""
        if self.kind == "artefact":
            return "reinstall voice-pipeline: it is part of the package"
        if self.kind == "bundled":
            return f"pip install {self.package}"
        revision = "" if self.revision else " --revision main"
        return (
            f"voice-pipeline models pull {self.name}{revision} (or bring the files of {self.hub} "
            f"and run voice-pipeline models add {self.name} FOLDER)"
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a model's files are the ones we mean."""

    name: str
    ok: bool
    detail: str  # what was found and, where it is not ok, what to do
    unpinned: bool = False  # all there, but nobody has vouched for the bytes


def home() -> Path:
    """Return the folder of catalogue.toml: inside the wheel, else beside the sources."""
    here = Path(__file__).resolve().parent
    for folder in (here / "_models", here.parent / "models"):
        if (folder / "catalogue.toml").is_file():
            return folder
    raise Misconfigured("models/catalogue.toml is not there; reinstall voice-pipeline")


@cache
def models() -> tuple[Model, ...]:
    """Return every model of the catalogue, in its order."""
    with (home() / "catalogue.toml").open("rb") as file:
        entries: dict[str, dict[str, Any]] = tomllib.load(file)
    found = tuple(Model(name=name, **entry) for name, entry in entries.items())
    for entry in found:
        for name in entry.files:
            if not is_inside(name):
                raise Misconfigured(f"the catalogue's {entry.name} names a file outside its folder")
    return found


def is_inside(file: str) -> bool:
    """Return whether a relative path stays in its folder, on every system."""
    path = PurePosixPath(file)
    return (
        bool(file)
        and not path.is_absolute()
        and ".." not in path.parts
        and not (set(file) & set("\\:\0"))
    )


def model(name: str) -> Model:
    """Return one entry.

    Raises:
        Misconfigured: the catalogue does not list it.
    """
    for entry in models():
        if entry.name == name:
            return entry
    known = ", ".join(entry.name for entry in models())
    raise Misconfigured(f"no model is called {name!r}; the catalogue lists: {known}")


def place(name: str, models_dir: Path | None = None) -> Path:
    """Return the folder where a model's files lie or would lie.

    Raises:
        Misconfigured: unknown name, its package is not installed, or `models_dir` is needed.
    """
    entry = model(name)
    if entry.kind == "artefact":
        return home() / "artefacts"
    if entry.kind == "bundled":
        found = importlib.util.find_spec(entry.package)
        if found is None or not found.submodule_search_locations:
            raise Misconfigured(
                f"model {name} comes with {entry.package}: pip install {entry.package}"
            )
        return Path(found.submodule_search_locations[0]) / entry.folder
    if models_dir is None:
        raise Misconfigured(f"model {name} lies in the folder of models, and none is set")
    return models_dir / name


def present(name: str, models_dir: Path | None = None) -> bool:
    """Return whether all files of a model are there; says nothing about their content."""
    try:
        folder = place(name, models_dir)
    except Misconfigured:
        return False
    return all((folder / file).is_file() for file in model(name).files)


def verify(name: str, models_dir: Path | None = None) -> Verdict:
    """Compare a model's files with the catalogue's hashes, or with the operator's SHA256SUMS.

    A hash in the catalogue outranks the operator's: a pin cannot bless a file that we know to be
    another.
    """
    entry = model(name)
    if not present(name, models_dir):
        where = models_dir or Path("MODELS")
        gone = missing(name, models_dir)
        begun = models_dir is not None and (models_dir / name).is_dir()
        what = f" ({', '.join(gone)} missing)" if begun else ""
        return Verdict(name, False, f"not complete{what}; {entry.how_to_get(where)}")
    folder = place(name, models_dir)
    brought = entry.kind in ("folder", "package")
    pins = read_pins(folder) if brought else {}
    if brought and (fault := _strange(folder, entry, pins)):
        return Verdict(name, False, fault)
    unpinned = []
    wanted = {**pins, **{file: known or pins.get(file, "") for file, known in entry.files.items()}}
    for file, expected in wanted.items():
        if not expected:
            unpinned.append(file)
        elif sha256(folder / file) != expected:
            return Verdict(name, False, f"{file} is not the file that was pinned; fetch it again")
    if unpinned:
        return Verdict(
            name,
            False,
            f"nobody has pinned {', '.join(unpinned)}: if you know where the files came from, "
            f"run `sha256sum * > {PINS}` in {folder}",
            unpinned=True,
        )
    return Verdict(name, True, f"{len(wanted)} files as pinned")


def _strange(folder: Path, entry: Model, pins: Mapping[str, str]) -> str:
    """Return what lies in a model's folder and should not, or is not there and should; else "".

    A loader may take a file that nobody pinned (a tokenizer, code), so one is a fault. Hidden
    files are no model's.
    """
    root = folder.resolve()
    for file in (*entry.files, *pins):
        if not (folder / file).is_file():
            return f"{file} was pinned and is missing; fetch the model again"
        if not (folder / file).resolve().is_relative_to(root):
            return f"{file} is a link to outside of {folder}; put the file itself there"
    if not pins:
        return ""  # nobody has vouched for anything yet
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not path.is_dir() and not hidden and name not in {*entry.files, *pins, *OURS}:
            return f"{name} is not part of what was pinned; remove it from {folder}"
    return ""


def missing(name: str, models_dir: Path | None = None) -> tuple[str, ...]:
    """Return the files of a model that are not there."""
    try:
        folder = place(name, models_dir)
    except Misconfigured:
        return tuple(model(name).files)
    return tuple(file for file in model(name).files if not (folder / file).is_file())


def source(folder: Path) -> Mapping[str, str]:
    """Return where a model's folder came from, as `models pull` or `add` wrote it; may be empty."""
    try:
        found = json.loads((folder / SOURCE).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}


def pin(folder: Path, files: Collection[str], came_from: Mapping[str, str]) -> None:
    """Vouch for files of a folder as they are now, and say where they came from.

    From then on a changed, further or missing file is not loaded.
    """
    lines = "".join(f"{sha256(folder / file)}  {file}\n" for file in sorted(files))
    _write(folder / SOURCE, json.dumps(came_from, sort_keys=True, indent=1) + "\n")
    _write(folder / PINS, lines)


def _write(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.part")
    with part.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def artefact(name: str) -> Path:
    """Return the path of one of our own artefacts, its bytes checked.

    Raises:
        Misconfigured: it is missing, or its hash is not the catalogue's.
    """
    entry = model(name)
    if entry.kind != "artefact" or len(entry.files) != 1:
        raise Misconfigured(f"{name} is not an artefact of ours with one file")
    verdict = verify(name)
    if not verdict.ok:
        raise Misconfigured(f"model {name}: {verdict.detail}; reinstall voice-pipeline")
    return place(name) / next(iter(entry.files))


def read_pins(folder: Path) -> dict[str, str]:
    """Return file -> sha256 of a folder's SHA256SUMS; nothing where there is none.

    Raises:
        Misconfigured: a line does not read `HASH  FILE`.
    """
    path = folder / PINS
    if not path.is_file():
        return {}
    pins = {}
    try:
        lines = path.read_text("utf-8").splitlines()
    except UnicodeDecodeError:
        raise Misconfigured(f"{path}: not a text of hashes") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        digest, _, file = line.partition(" ")
        name = file.strip().removeprefix("*").removeprefix("./")
        if not re.fullmatch(r"[0-9a-fA-F]{64}", digest) or not name:
            raise Misconfigured(f"{path}:{number}: a line must read `SHA256  FILE`")
        if not is_inside(name):
            raise Misconfigured(f"{path}:{number}: names a file outside of the folder")
        if name not in OURS:  # `sha256sum *` may have met an earlier one
            pins[name] = digest.lower()
    return pins


def sha256(path: Path) -> str:
    """Return a file's sha256; computed once a process for a file that does not change."""
    facts = path.stat()
    return _sha256(str(path.resolve()), facts.st_size, facts.st_mtime_ns)


@cache
def _sha256(path: str, _size: int, _modified: int) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
