"""Which models there are, where they lie, and whether they are the ones we mean.

Reads `models/catalogue.toml` and compares files with their sha256. Refuses a model whose bytes it
cannot vouch for: an unknown hash counts only when the operator pinned it in a SHA256SUMS file.
It never touches the network.
"""

from __future__ import annotations

import hashlib
import importlib.util
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from voice_pipeline.errors import Misconfigured

PINS = "SHA256SUMS"  # the operator's own hashes, in the format of sha256sum(1)

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

    def how_to_get(self, models_dir: Path) -> str:
        """Return one line that says what to do."""
        if self.kind == "artefact":
            return "reinstall voice-pipeline: it is part of the package"
        if self.kind == "bundled":
            return f"pip install {self.package}"
        place = models_dir / self.name
        return f"voice-pipeline models pull {self.name} (or copy {self.hub} to {place})"


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
    return tuple(Model(name=name, **entry) for name, entry in entries.items())


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
        return Verdict(name, False, f"not complete; {entry.how_to_get(where)}")
    folder = place(name, models_dir)
    pins = read_pins(folder) if entry.kind in ("folder", "package") else {}
    unpinned = []
    for file, known in entry.files.items():
        expected = known or pins.get(file, "")
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
    return Verdict(name, True, f"{len(entry.files)} files as pinned")


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
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        digest, _, file = line.partition(" ")
        if len(digest) != 64 or not file.strip():
            raise Misconfigured(f"{path}:{number}: a line must read `SHA256  FILE`")
        pins[file.strip().removeprefix("*").removeprefix("./")] = digest.lower()
    return pins


def sha256(path: Path) -> str:
    """Return a file's sha256; computed once a process for a file that does not change."""
    facts = path.stat()
    return _sha256(str(path.resolve()), facts.st_size, facts.st_mtime_ns)


@cache
def _sha256(path: str, _size: int, _modified: int) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
