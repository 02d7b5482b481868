"""Recognizers of an organisation's own, named in a policy, through Presidio's interface.

Decides how a line of a policy becomes a `presidio_analyzer.EntityRecognizer`: a spaCy pipeline that
is installed or lies in a folder, or what a factory of theirs returns. Refuses to download, and to
start when one of them cannot be built. What they find is added to ours, never instead.
"""

from __future__ import annotations

import hashlib
import importlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

SPACY = "spacy"
SCORE = 0.6  # of a spaCy entity, which has no confidence of its own
_FACTORY = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_LABEL = re.compile(r"[A-Z][A-Z0-9_]{1,39}")
# what the entities of common pipelines are here; others are used only where a policy names them
SPACY_LABELS = {"PERSON": "PERSON", "PER": "PERSON", "GPE": "ADDRESS", "LOC": "ADDRESS",
                "FAC": "ADDRESS"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plugged:
    """One entry of `recognizers` in a policy."""

    use: str  # "spacy", or package.module:factory
    model: str = ""  # spacy: an installed package or a folder
    labels: Mapping[str, str] = field(default_factory=dict)  # spacy: entity -> our label
    score: float = SCORE  # spacy
    options: Mapping[str, Any] = field(default_factory=dict)  # factory: its keyword arguments


def read_plugged(items: Any) -> tuple[Plugged, ...]:
    """Check the `recognizers` of a policy.

    Raises:
        ValueError: an entry has unknown keys, or lacks what it needs.
    """
    if not isinstance(items, Sequence) or isinstance(items, str):
        raise ValueError("recognizers must be a list of entries with `use`")
    return tuple(_plugged(item) for item in items)


def _plugged(item: Any) -> Plugged:
    if not isinstance(item, Mapping) or not isinstance(item.get("use"), str):
        raise ValueError("a recognizer needs `use`: spacy, or package.module:factory")
    use = item["use"]
    own = {"model", "labels", "score"} if use == SPACY else {"options"}
    if unknown := set(item) - own - {"use"}:
        raise ValueError(f"recognizer {use}: unknown keys {', '.join(sorted(map(str, unknown)))}")
    if use == SPACY:
        labels, score = item.get("labels") or SPACY_LABELS, float(item.get("score", SCORE))
        if not item.get("model"):
            raise ValueError("recognizer spacy: needs `model`, an installed package or a folder")
        if not isinstance(labels, Mapping) or not all(
            _LABEL.fullmatch(str(label)) for label in labels.values()
        ):
            raise ValueError("recognizer spacy: labels must map its entities to LABELS of ours")
        if not 0 < score <= 1:
            raise ValueError("recognizer spacy: score must lie in 0..1")
        return Plugged(use, str(item["model"]), dict(labels), score)
    if not _FACTORY.fullmatch(use):
        raise ValueError(f"no recognizer is called {use!r}: give spacy, or package.module:factory")
    options = item.get("options") or {}
    if not isinstance(options, Mapping):
        raise ValueError(f"recognizer {use}: options must be keys and values")
    return Plugged(use, options=dict(options))


def build_plugged(items: Sequence[Plugged], language: str) -> tuple[Any, ...]:
    """Build the recognizers of a policy.

    Raises:
        ValueError: a model or factory is not there, or what it gives is no recognizer.
    """
    built: list[Any] = []
    for item in items:
        built += [_spacy(item, language)] if item.use == SPACY else _made(item)
    return tuple(built)


def identity(recognizer: Any) -> str:
    """Return what names a recognizer in the hash of a redactor: its name and version."""
    return f"{recognizer.name} {recognizer.version}"


def _made(item: Plugged) -> list[Any]:
    from presidio_analyzer import EntityRecognizer

    name, _, attribute = item.use.partition(":")
    try:
        factory = getattr(importlib.import_module(name), attribute)
    except ImportError as error:
        raise ValueError(f"recognizer {item.use}: cannot be imported ({error})") from None
    except AttributeError:
        raise ValueError(f"recognizer {item.use}: {name} has no {attribute}") from None
    try:
        made = factory(**item.options)
    except TypeError as error:
        raise ValueError(f"recognizer {item.use}: its options do not fit ({error})") from None
    found = list(made) if isinstance(made, (list, tuple)) else [made]
    if not found or not all(isinstance(one, EntityRecognizer) for one in found):
        raise ValueError(f"recognizer {item.use}: gives no presidio_analyzer.EntityRecognizer")
    return found


def _spacy(item: Plugged, language: str) -> Any:
    return spacy_recognizer(
        item.model, tuple(sorted(item.labels.items())), item.score, language
    )  # fmt: skip


@lru_cache(maxsize=8)
def spacy_recognizer(
    model: str, labels: tuple[tuple[str, str], ...], score: float, language: str = "en"
) -> Any:
    """Wrap a spaCy pipeline as a Presidio recognizer.

    Args:
        model: an installed pipeline package, or the path of a folder. Nothing is downloaded.
        labels: (its entity, our label) pairs; other entities are left out.
        score: of every finding, 0..1.
        language: of the texts that it sees.

    Raises:
        ValueError: there is no such pipeline, or it finds no entities.
    """
    import spacy
    from presidio_analyzer import EntityRecognizer, RecognizerResult

    try:
        nlp = spacy.load(model)
    except OSError:
        raise ValueError(
            f"recognizer spacy: no pipeline {model!r}; install its package or give its folder"
        ) from None
    ours = dict(labels)
    if not {"ner", "entity_ruler", "span_ruler"} & set(nlp.pipe_names):
        raise ValueError(f"recognizer spacy: {model!r} has no part that finds entities")

    name = f"spacy:{Path(model).name}"

    class Spacy(EntityRecognizer):
        def load(self) -> None:
            """Nothing: it is loaded."""

        def analyze(self, text: str, entities: list[str], nlp_artifacts: Any = None) -> list[Any]:
            return [
                RecognizerResult(
                    ours[span.label_], span.start_char, span.end_char, score,
                    recognition_metadata={
                        RecognizerResult.RECOGNIZER_NAME_KEY: name,
                        RecognizerResult.RECOGNIZER_IDENTIFIER_KEY: self.id,
                    },
                )
                for span in nlp(text).ents
                if span.label_ in ours and (not entities or ours[span.label_] in entities)
            ]  # fmt: skip

    return Spacy(
        supported_entities=sorted(set(ours.values())),
        name=name,
        supported_language=language,
        version=_version(model, nlp),
    )


def _version(model: str, nlp: Any) -> str:
    """Return the hash of a folder's files, or the version of an installed pipeline."""
    folder = Path(model)
    if not folder.is_dir():
        return f"{nlp.meta.get('name')} {nlp.meta.get('version')}"
    digest = hashlib.sha256()
    for path in sorted(item for item in folder.rglob("*") if item.is_file()):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
