"""Recognizers of an organisation's own, named in its policy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import spacy

from redaction import Redactor, Turn, Word, load_policy
from redaction.policy import parse_policy
from redaction.recognizers import read_plugged


@pytest.fixture(autouse=True)
def beside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The module own_recognizers, importable as a user's package would be."""
    monkeypatch.syspath_prepend(Path(__file__).parent)


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    """A spaCy pipeline in a folder, that knows one street and one person."""
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns(
        [{"label": "GPE", "pattern": "Zedland"}, {"label": "PERSON", "pattern": "qwopty"},
         {"label": "ORG", "pattern": "Globex"}]
    )  # fmt: skip
    nlp.to_disk(tmp_path / "tiny")
    return tmp_path / "tiny"


def policy_file(folder: Path, *entries: dict[str, Any], **more: Any) -> Path:
    path = folder / "policy.yaml"
    raw = {"id": "acme", "version": 1, "profile": "balanced", "recognizers": list(entries), **more}
    import yaml

    path.write_text(yaml.safe_dump(raw))
    return path


def found(redactor: Redactor, text: str) -> set[tuple[str, str]]:
    words = text.split()
    turn = Turn("customer", tuple(Word(word, None, None) for word in words))
    return {(" ".join(words[f.first : f.last]), f.label) for f in redactor.find((turn,))}


def test_a_spacy_pipeline_adds_to_ours(pipeline: Path, tmp_path: Path) -> None:
    """What an installed spaCy pipeline finds is taken, beside everything that we find."""
    redactor = Redactor(
        load_policy(policy_file(tmp_path, {"use": "spacy", "model": str(pipeline)}))
    )
    spans = found(redactor, "greetings Zedland my pin is 4 4 1 2 says qwopty at Globex")
    assert spans == {("Zedland", "ADDRESS"), ("qwopty", "PERSON"), ("4 4 1 2", "PIN")}


def test_labels_of_a_pipeline_are_mapped(pipeline: Path, tmp_path: Path) -> None:
    """A policy says which entities of a pipeline count, and what they are here."""
    entry = {"use": "spacy", "model": str(pipeline), "labels": {"ORG": "EMPLOYER"}}
    redactor = Redactor(load_policy(policy_file(tmp_path, entry)))
    assert found(redactor, "greetings Zedland says Globex") == {("Globex", "EMPLOYER")}


def test_a_recognizer_of_ones_own(tmp_path: Path) -> None:
    """A factory of the user's gives a Presidio recognizer, with the options of the policy."""
    entry = {"use": "own_recognizers:badges", "options": {"letter": "Q"}}
    redactor = Redactor(load_policy(policy_file(tmp_path, entry)))
    assert found(redactor, "take Q-1234 not B-1234") == {("Q-1234", "BADGE")}
    entry = {"use": "own_recognizers:several"}
    redactor = Redactor(load_policy(policy_file(tmp_path, entry)))
    assert found(redactor, "take C-1234 not B-1234") == {("C-1234", "BADGE"), ("B-1234", "BADGE")}


def test_a_changed_recognizer_is_another_redactor(pipeline: Path, tmp_path: Path) -> None:
    """The hash of a redactor names its recognizers: their policy, their versions, their bytes."""
    path = policy_file(tmp_path, {"use": "spacy", "model": str(pipeline)})
    policy = load_policy(path)
    plain = parse_policy({**_raw(policy_file(tmp_path)), "recognizers": []})
    hashes = {Redactor(plain).sha256, Redactor(policy).sha256}
    assert Redactor(plain).sha256 == plain.sha256
    (pipeline / "meta.json").write_text((pipeline / "meta.json").read_text() + "\n")
    from redaction.recognizers import spacy_recognizer

    spacy_recognizer.cache_clear()
    hashes.add(Redactor(policy).sha256)
    assert len(hashes) == 3


def _raw(path: Path) -> dict[str, Any]:
    import yaml

    own: dict[str, Any] = yaml.safe_load(path.read_text())
    shipped = Path(__file__).parents[2] / "redaction/policies/balanced.yaml"
    return {**yaml.safe_load(shipped.read_text()), **own}


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"use": "gliner"}, "package.module:factory"),
        ({"model": "x"}, "needs `use`"),
        ("spacy", "needs `use`"),
        ({"use": "spacy"}, "needs `model`"),
        ({"use": "spacy", "model": "x", "options": {}}, "unknown keys options"),
        ({"use": "spacy", "model": "x", "labels": {"GPE": "not a label"}}, "labels must map"),
        ({"use": "spacy", "model": "x", "score": 2}, "0..1"),
        ({"use": "own_recognizers:badges", "options": [1]}, "keys and values"),
    ],
)
def test_a_bad_entry_is_refused_with_the_policy(entry: Any, says: str) -> None:
    """A mistake in a policy's recognizers is named when the policy is read."""
    with pytest.raises(ValueError, match=says):
        read_plugged([entry])


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"use": "spacy", "model": "no_such_pipeline"}, "install its package"),
        ({"use": "no_such_package:make"}, "cannot be imported"),
        ({"use": "own_recognizers:absent"}, "has no absent"),
        ({"use": "own_recognizers:badges", "options": {"colour": "red"}}, "do not fit"),
        ({"use": "own_recognizers:nothing"}, "gives no presidio_analyzer.EntityRecognizer"),
    ],
)
def test_what_cannot_be_built_stops_the_start(
    entry: dict[str, Any], says: str, tmp_path: Path
) -> None:
    """A recognizer that is not there is an error at start-up, not a quiet gap."""
    policy = load_policy(policy_file(tmp_path, entry))
    with pytest.raises(ValueError, match=says):
        Redactor(policy)


def test_a_pipeline_without_entities_is_refused(tmp_path: Path) -> None:
    """A pipeline that can find no entities is a mistake."""
    spacy.blank("en").to_disk(tmp_path / "blank")
    policy = load_policy(policy_file(tmp_path, {"use": "spacy", "model": str(tmp_path / "blank")}))
    with pytest.raises(ValueError, match="no part that finds entities"):
        Redactor(policy)
