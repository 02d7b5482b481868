"""Recognizers as a user might write them, named by the policies of test_recognizers.py."""

from __future__ import annotations

import re
from typing import Any

from presidio_analyzer import EntityRecognizer, RecognizerResult


class Badges(EntityRecognizer):
    """Finds badge numbers by hand."""

    def __init__(self, letter: str = "B") -> None:
        self.badge = re.compile(rf"{letter}-\d{{4}}")
        super().__init__(supported_entities=["BADGE"], name="Badges", version="3.1")

    def load(self) -> None:
        """Nothing to load."""

    def analyze(self, text: str, entities: list[str], nlp_artifacts: Any = None) -> list[Any]:
        return [
            RecognizerResult("BADGE", hit.start(), hit.end(), 0.9)
            for hit in self.badge.finditer(text)
        ]


def badges(letter: str = "B") -> Badges:
    return Badges(letter)


def several() -> list[Badges]:
    return [Badges("B"), Badges("C")]


def nothing() -> str:
    return "no recognizer"
