"""The built wheel works with the source tree out of reach."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, unpacked into a folder of its own."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(source)], check=True)
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(source)],
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run(site: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command from the unpacked wheel; the source tree is on no path."""
    code = (
        "import sys; sys.path.insert(0, sys.argv.pop(1));"
        f"sys.path[:] = [p for p in sys.path if p != {str(ROOT)!r}];"
        "sys.meta_path[:] = [f for f in sys.meta_path if 'editable' not in repr(f).lower()];"
        "import voice_pipeline; assert sys.path[0] in voice_pipeline.__file__;"
        "from voice_pipeline.cli import main; main()"
    )
    return subprocess.run(
        [sys.executable, "-c", code, str(site), *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        cwd=site.parent,
        env={**os.environ, "PYTHONPATH": ""},
        check=False,
    )


def test_no_data_file_stayed_behind(installed: Path) -> None:
    """Whatever lies beside the code in the tree is beside it in the wheel too."""
    listed = subprocess.run(
        ["git", "ls-files", "redaction", "voice_pipeline"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    left = {name for name in listed if not (installed / name).is_file()}
    assert left <= {"redaction/README.md"}


def test_nothing_foreign_is_in_it(installed: Path) -> None:
    """Only our two packages become importable; models are data, recipes and tests stay out."""
    tops = {path.name for path in installed.iterdir() if not path.name.endswith(".dist-info")}
    assert tops == {"voice_pipeline", "redaction"}
    names = [path.relative_to(installed).as_posix() for path in installed.rglob("*")]
    assert not [name for name in names if "recipes" in name]
    assert (installed / "voice_pipeline" / "_models" / "catalogue.toml").is_file()


def test_models_are_found_from_it(installed: Path) -> None:
    """The catalogue and our artefacts come along and match their hashes."""
    done = run(installed, "models", "verify")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "en-us-telephone: ok" in done.stdout


def test_the_policy_pack_is_in_it(installed: Path) -> None:
    """Rules load and their examples hold."""
    done = run(installed, "policy", "check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_redaction_runs_from_it(installed: Path) -> None:
    """Language and policy files come along."""
    line = json.dumps({"id": 1, "text": "my pin is one two three four"})
    done = run(installed, "redact", stdin=line)
    assert done.returncode == 0, done.stderr
    assert "one two" not in json.loads(done.stdout)["text"]


def test_a_call_runs_from_it(installed: Path, tmp_path: Path) -> None:
    """The main job, with the real recognizer, from nothing but the wheel."""
    sample = ROOT / "samples" / "audio" / "branch-hours.wav"
    done = run(installed, "process", str(sample), "--out", str(tmp_path / "out"))
    assert done.returncode in (0, 5), done.stderr
    state, archive = str(tmp_path / "out" / ".state"), str(tmp_path / "audit.zip")
    made = run(installed, "--data", state, "log", "export", "--out", archive)
    assert made.returncode == 0, made.stderr
    assert run(installed, "log", "verify", archive).returncode == 0
    assert list((tmp_path / "out").glob("*/result.json"))
