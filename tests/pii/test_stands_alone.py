"""redaction without the application around it: import, command, Presidio plug-in, README."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from redaction import LABELS

ROOT = Path(__file__).parents[2]
README = ROOT / "redaction" / "README.md"
# every import of the application fails, as it does where only redaction is installed
BLOCK = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "voice_pipeline":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Blocked())
"""
EVERYTHING = """
import pkgutil, importlib, redaction
for module in pkgutil.iter_modules(redaction.__path__):
    if module.name != "__main__":
        importlib.import_module(f"redaction.{module.name}")
assert not [name for name in sys.modules if name.split(".")[0] == "voice_pipeline"]
"""
COMMAND = """
import runpy
sys.argv = ["redaction", "--profile", "balanced"]
runpy.run_module("redaction", run_name="__main__")
"""


def alone(code: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BLOCK + code], input=text, capture_output=True, text=True, cwd=ROOT,
        check=False,
    )  # fmt: skip


def test_every_module_imports_alone() -> None:
    """No module of redaction needs the application, not even in a function."""
    done = alone(EVERYTHING)
    assert done.returncode == 0, done.stderr


def test_the_command_runs_alone() -> None:
    """`python -m redaction` redacts lines where nothing else of ours is installed."""
    done = alone(COMMAND, json.dumps({"id": 1, "text": "my pin is two two nine one"}) + "\n")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["text"] == "my pin is [PIN]"


@pytest.mark.parametrize(
    "block", re.findall(r"^```python\n(.*?)^```", README.read_text("utf-8"), re.DOTALL | re.M)
)
def test_the_readme_runs_alone(block: str) -> None:
    """Each Python block of redaction/README.md runs by itself and prints what it says."""
    done = alone(block)
    assert done.returncode == 0, done.stderr
    said = re.findall(r"^print\(.*\)\n# (.*)$", block, re.M)
    assert done.stdout.splitlines() == said


def test_an_analyzer_of_presidio_runs_ours_beside_its_own() -> None:
    """Our recognizer sits in a registry with Presidio's, finds what they cannot, and is named."""
    from presidio_analyzer import AnalyzerEngine, EntityRecognizer, RecognizerRegistry
    from presidio_analyzer.predefined_recognizers import IpRecognizer

    from redaction.presidio import SpokenRecognizer
    from redaction.written import blank_nlp_engine

    ours = SpokenRecognizer()
    assert isinstance(ours, EntityRecognizer)
    assert set(LABELS) == set(ours.supported_entities)
    engine = AnalyzerEngine(
        registry=RecognizerRegistry(
            recognizers=[ours, IpRecognizer()], supported_languages=["en"]
        ),
        nlp_engine=blank_nlp_engine(), supported_languages=["en"],
    )  # fmt: skip
    card = "four five three two nine nine one oh eight eight seven six four two four two"
    text = f"from 10.1.2.3, card {card}"
    hits = engine.analyze(text, language="en", return_decision_process=True)
    found = {hit.entity_type: text[hit.start : hit.end] for hit in hits}
    assert found["CARD_NUMBER"] == card
    assert found["IP_ADDRESS"] == "10.1.2.3"
    names = {hit.recognition_metadata["recognizer_name"] for hit in hits}
    assert "SpokenRecognizer" in names
    (only,) = engine.analyze(text, language="en", entities=["CARD_NUMBER"])
    assert only.entity_type == "CARD_NUMBER"
