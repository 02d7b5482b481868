"""For users of Presidio: our recognizers as one Presidio `EntityRecognizer`.

Decides how findings become `RecognizerResult`s over one text. Refuses Presidio's own artifacts: it
needs none. A whole conversation is better given to `Redactor.find`, which follows questions
over turns.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from presidio_analyzer import EntityRecognizer, RecognizerResult

from redaction.labels import LABELS
from redaction.policy import Policy, load_policy
from redaction.records import Turn, Word
from redaction.redactor import Redactor
from redaction.spans import trim
from redaction.tokens import tokenize

NAME = "SpokenRecognizer"


class SpokenRecognizer(EntityRecognizer):
    """Finds spoken and written personal data in one text.

    Example:
        >>> from presidio_analyzer import AnalyzerEngine
        >>> engine = AnalyzerEngine()  # doctest: +SKIP
        >>> engine.registry.add_recognizer(SpokenRecognizer())  # doctest: +SKIP
    """

    def __init__(
        self,
        policy: Policy | None = None,
        supported_language: str = "en",
        names: Path | None = None,
    ) -> None:
        """Prepare the recognizer under a policy (default: balanced), with a names model or none."""
        self._redactor = Redactor(policy or load_policy("balanced"), names=names)
        super().__init__(
            supported_entities=list(LABELS), name=NAME,
            supported_language=supported_language,
        )  # fmt: skip

    def load(self) -> None:
        """Load nothing: a names model is loaded when it is first needed."""

    def analyze(self, text: str, entities: list[str], nlp_artifacts: Any = None) -> list[Any]:
        """Return a `RecognizerResult` for every finding of a wanted entity."""
        tokens = tokenize(text)
        turn = Turn("", tuple(Word(word, None, None) for word, _, _ in tokens))
        results = []
        for finding in self._redactor.find((turn,)):
            if entities and finding.label not in entities:
                continue
            start, end = trim(text, tokens[finding.first][1], tokens[finding.last - 1][2])
            results.append(
                RecognizerResult(
                    finding.label, start, end, finding.score,
                    recognition_metadata={
                        RecognizerResult.RECOGNIZER_NAME_KEY: NAME,
                        RecognizerResult.RECOGNIZER_IDENTIFIER_KEY: self.id,
                    },
                )
            )  # fmt: skip
        return results
