"""Coverage-guided fuzzing of finding and rendering with atheris: `make fuzz`.

    python tests/pii/fuzz_scanner.py [-max_total_time=SECONDS] [CORPUS]

What must hold for any bytes: nothing raises, spans lie inside their turn and do not overlap, words
partition the text, the same call gives the same findings, and a planted card number leaves no
digit. The properties are those of test_text_robust.py, driven by coverage instead of chance.
"""

from __future__ import annotations

import sys
from typing import Any

import atheris

with atheris.instrument_imports(include=["redaction"]):
    from redaction import Redactor, Turn, Word, load_policy
    from redaction.forms import find_forms
    from redaction.jsonl import redact_record, redact_texts
    from redaction.tokens import tokenize

REDACTOR = Redactor(load_policy("balanced"))
CARD = "4532 9910 8876 4242"
VOCABULARY = (
    "my card number is", "four", "one", "double", "oh", "and", "no sorry", "twenty", "hundred",
    "what is your pin", "my name is", "at", "dot com", "street", "third of march", "as in", "a",
    ",", ".", "-", "12", "4111", "@", "\u200b", "\u202e", "４", "❹", "\n", "'s", "<br>", "&nbsp;",
)  # fmt: skip


def text_of(data: Any) -> str:
    """Return free text or words that the scanner knows, as the fuzzer likes."""
    if data.ConsumeBool():
        return str(data.ConsumeUnicodeNoSurrogates(60))
    words = [VOCABULARY[data.ConsumeIntInRange(0, len(VOCABULARY) - 1)]
             for _ in range(data.ConsumeIntInRange(0, 24))]  # fmt: skip
    return (" " if data.ConsumeBool() else "").join(words)


def number(data: Any) -> float | None:
    return data.ConsumeFloat() if data.ConsumeBool() else None


def check_spans(data: Any) -> None:
    said = [(("agent", "customer", "")[data.ConsumeIntInRange(0, 2)], text_of(data))
            for _ in range(data.ConsumeIntInRange(1, 4))]  # fmt: skip
    texts, spans = redact_texts(said, REDACTOR)
    assert len(texts) == len(said)
    last = (-1, 0)
    for span in spans:
        assert 0 <= span["start"] < span["end"] <= len(said[span["turn"]][1])
        assert (span["turn"], span["start"]) >= last
        last = (span["turn"], span["end"])
    assert (texts, spans) == redact_texts(said, REDACTOR)


def check_words(data: Any) -> None:
    text = text_of(data)
    position = 0
    for word, start, end in tokenize(text):
        assert text[start:end] == word
        assert not text[position:start].strip()
        position = end
    assert not text[position:].strip()


def check_forms(data: Any) -> None:
    def words() -> tuple[Word, ...]:
        return tuple(Word(word, number(data), number(data)) for word in text_of(data).split(" "))

    turn = Turn("customer", words(), forms=(words(), words()))
    for form, findings in enumerate(find_forms(REDACTOR.find, [turn])):
        length = len(turn.words if form == 0 else turn.forms[form - 1])
        assert all(0 <= found.first < found.last <= length for found in findings)


def check_planted(data: Any) -> None:
    before, after = text_of(data), text_of(data)
    record = {"id": 1, "text": f"{before} my card number is {CARD} thanks {after}", "note": CARD}
    out = redact_record(record, REDACTOR)
    assert CARD not in out["text"]
    assert CARD not in out["note"]


CHECKS = (check_spans, check_words, check_forms, check_planted)


def check(data: bytes) -> None:
    """Run one check on one input."""
    provider = atheris.FuzzedDataProvider(data)
    CHECKS[provider.ConsumeIntInRange(0, len(CHECKS) - 1)](provider)


if __name__ == "__main__":
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
