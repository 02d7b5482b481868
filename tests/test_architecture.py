"""The house rules, each with its reason."""

from __future__ import annotations

import ast
import resource
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from voice_pipeline.adapters import KINDS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "voice_pipeline"

# What a module may import: anything of a lower rank, and its own folder.
RANKS = [
    ["errors", "addresses"],
    ["domain"],
    ["client", "codec", "ports", "next_step", "phones", "tracing", "webhooks"],
    ["spoken"],
    ["adapters", "audio", "catalogue", "claims", "doubles", "examples", "fetching", "hub", "policy",
     "store", "testing", "transcripts", "vcon"],
    ["knowledge"],
    ["transcribers", "diarizers", "analysts", "connectors", "embedders", "stages", "note",
     "corrections"],
    ["pipeline"],
    ["engine", "config"],
    ["results", "building", "entries", "overview", "intake", "scrub", "evidence", "redactors",
     "rerouting", "embedding", "opening", "access", "erasing", "reviewing", "delivery",
     "escalating"],
    ["assembly"],
    ["kit", "pairing"],
    ["service"],
    ["ways_in"],
    ["metrics"],
    ["api"],
    ["console", "cli", "__main__"],
]  # fmt: skip
RANK = {name: rank for rank, names in enumerate(RANKS) for name in names}
# Inside one rank nothing knows its neighbours, but for these.
NEIGHBOURS = {
    ("ports", "codec"),
    ("stages", "note"),
    ("testing", "adapters"),
    ("hub", "fetching"),
    ("entries", "results"),
    ("escalating", "delivery"),
    ("__main__", "cli"),
}

RAW = {"Audio", "Speech", "Heard", "Transcript", "Segment", "SegmentSpeech", "ImportedTranscript",
       "VendorTranscript", "Utterance"}  # fmt: skip
RAW_ALLOWED = {
    "domain", "ports", "audio", "transcripts", "transcribers", "diarizers", "pipeline", "testing",
    "stages/ingest", "stages/transcribe", "stages/understanding", "stages/diarize",
    "stages/adopt", "stages/fit", "stages/given_turns", "stages/redact", "stages/replace",
    "stages/mute", "stages/respell", "stages/verify", "stages/second_listen", "metrics/asr",
    "metrics/diarization", "metrics/muting",
}  # fmt: skip


def modules(root: Path = PACKAGE) -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root).with_suffix("").as_posix()
        yield name.removesuffix("/__init__"), ast.parse(path.read_text("utf-8"))


def imported(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute"
            if node.module == "voice_pipeline":
                yield from ((f"voice_pipeline.{a.name}", node.lineno) for a in node.names)
            else:
                yield node.module or "", node.lineno


def test_imports_go_one_way() -> None:
    """A reader can learn the house from the left: nothing imports what stands to its right."""
    wrong = []
    for name, tree in modules():
        me = name.split("/")[0]
        if me == "__init__":
            continue
        assert me in RANK, f"{me} has no place in the house: give it one in RANKS"
        for module, line in imported(tree):
            if not module.startswith("voice_pipeline."):
                continue
            other = module.split(".")[1]
            if other in (me, "__version__"):
                continue
            above = RANK[other] > RANK[me]
            beside = RANK[other] == RANK[me] and (me, other) not in NEIGHBOURS
            if above or beside:
                wrong.append(f"{name}:{line} imports {module}")
    assert not wrong, "\n".join(wrong)


def test_adapters_do_not_know_one_another() -> None:
    """Adding or removing one engine touches one file: its neighbours never import it."""
    wrong = []
    for name, tree in modules():
        folder, _, file = name.partition("/")
        if folder in KINDS and file:
            for module, line in imported(tree):
                parts = module.split(".")
                private = len(parts) > 2 and parts[2].startswith("_")
                if parts[:2] == ["voice_pipeline", folder] and not private:
                    wrong.append(f"{name}:{line} imports {module}")
    assert not wrong, "\n".join(wrong)


def test_redaction_stands_alone() -> None:
    """Anyone may use redaction without the pipeline: it imports nothing of ours."""
    wrong = [
        f"{name}:{line}"
        for name, tree in modules(ROOT / "redaction")
        for module, line in imported(tree)
        if module.split(".")[0] == "voice_pipeline"
    ]
    assert not wrong


def test_raw_types_stay_left_of_redact() -> None:
    """Raw words cannot reach a page, a log or a CRM if nothing there can even name them."""
    wrong = []
    for name, tree in modules():
        if name in RAW_ALLOWED or name.split("/")[0] in RAW_ALLOWED:
            continue
        for node in ast.walk(tree):
            names: set[str] = set()
            if isinstance(node, ast.Name):
                names = {node.id}
            elif isinstance(node, ast.Attribute):
                names = {node.attr}
            elif isinstance(node, ast.ImportFrom):
                names = {alias.name for alias in node.names}
            if names & RAW:
                wrong.append(f"{name}:{getattr(node, 'lineno', 0)} names {names & RAW}")
    assert not wrong, "\n".join(wrong)


def test_one_folder_knows_the_engine() -> None:
    """The engine can be replaced: dbos is imported in engine/ alone."""
    wrong = [
        f"{name}:{line}"
        for name, tree in modules()
        for module, line in imported(tree)
        if module.split(".")[0] == "dbos" and not name.startswith("engine")
    ]
    assert not wrong


def test_environment_is_read_in_config_only() -> None:
    """Every setting can be found in one file: nobody else asks the environment."""
    wrong = []
    for root in (PACKAGE, ROOT / "redaction"):
        for name, tree in modules(root):
            if name == "config":
                continue
            wrong += [
                f"{name}:{node.lineno}"
                for node in ast.walk(tree)
                if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "putenv")
            ]
    assert not wrong


def test_files_are_short() -> None:
    """A file that does not fit a reader's head is two files."""
    long = {
        str(path.relative_to(ROOT)): count
        for path in sorted(ROOT.glob("*/**/*.py"))
        if not any(part.startswith(".") or part in ("build", "out") for part in path.parts[1:])
        and path.relative_to(ROOT).parts[0] in ("voice_pipeline", "redaction", "samples", "models",
                                                "tests", "docs")
        if (count := len(path.read_text("utf-8").splitlines())) > 500
    }  # fmt: skip
    assert not long
    assert len((PACKAGE / "pipeline.py").read_text("utf-8").splitlines()) < 150


def test_no_dumping_grounds() -> None:
    """What has no noun has no home."""
    names = {"utils", "util", "helpers", "helper", "common", "misc", "shared"}
    bad = [
        path.relative_to(ROOT)
        for root in (PACKAGE, ROOT / "redaction", ROOT / "samples", ROOT / "tests")
        for path in root.rglob("*")
        if path.stem in names
    ]
    assert not bad


def test_no_broad_except() -> None:
    """A failure that nobody named must not be swallowed: a broad except re-raises."""
    wrong = []
    for root in (PACKAGE, ROOT / "redaction"):
        for path in sorted(root.rglob("*.py")):
            lines = path.read_text("utf-8").splitlines()
            for number, line in enumerate(lines, 1):
                text = line.strip()
                broad = text in ("except:", "except BaseException:", "except Exception:")
                if broad or text.startswith("except Exception as"):
                    block = "\n".join(lines[number : number + 4])
                    if "raise" not in block:
                        wrong.append(f"{path.relative_to(ROOT)}:{number}")
    assert not wrong


def test_public_names() -> None:
    """The face of each package is small on purpose."""
    import redaction
    import voice_pipeline

    assert voice_pipeline.__version__
    public = [name for name in redaction.__all__ if not name.startswith("_")]
    assert len(public) <= 20
    assert all(hasattr(redaction, name) for name in public)


def test_every_package_is_in_the_wheel() -> None:
    """A folder that is forgotten in pyproject.toml would be missing for every user."""
    listed = set(
        tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    )
    found = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for root in (PACKAGE, ROOT / "redaction")
        for path in root.rglob("__init__.py")
    }
    assert found == listed - {"voice_pipeline._models"}


def test_locks_name_no_host() -> None:
    """Locked by hash, not by place: any mirror serves."""
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text()
        assert "://" not in text
        assert text.count("--hash=sha256:") > 500
        assert "\ntorch==" not in text


def test_help_is_quick() -> None:
    """Asking for help takes under half a second of processor time, best of five."""
    best = 9.0
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, "-m", "voice_pipeline", "--help"], capture_output=True, check=True
        )
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime)
    assert b"process" in done.stdout
    assert best < 0.5


def test_help_imports_nothing_heavy() -> None:
    """The reason for the rule above, without a clock."""
    code = (
        "import sys; sys.argv=['voice-pipeline','--help']\n"
        "from voice_pipeline.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy={'numpy','av','spacy','dbos','sqlalchemy','faster_whisper','presidio_analyzer',"
        "'sklearn','pydantic','fastapi','openai','torch'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
