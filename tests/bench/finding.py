"""Speed and memory of finding personal data, beside vanilla Presidio with and without a NER.

    python tests/bench/finding.py WORDS...   one call of so many words: seconds and memory

Vanilla is `AnalyzerEngine` with its default recognizers, offline, turn by turn as calls come; a
second row gives it whole calls joined to one text, which is its fastest way and loses the turns.
Its NER has the size of a small one (spaCy's hash-embedding CNN, width 96, depth 4) and random
weights: what it costs does not depend on what it learnt. Times are CPU seconds, the best of
several rounds that take turns, all in one process.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

from redaction import Redactor, load_policy
from redaction.tokens import turns_of
from voice_pipeline.redactors import build_redactor

ROOT = Path(__file__).parents[2]
ROUNDS = 7
SIZES = (1_000, 10_000, 50_000)  # words of one call
Call = list[tuple[str, str]]  # (speaker, text)


def finding() -> dict[str, Any]:
    """Words per CPU second beside Presidio, and what a call of 50,000 words costs."""
    found: dict[str, Any] = {name: _speed(calls) for name, calls in corpora().items()}
    for size in SIZES:
        done = subprocess.run(
            [sys.executable, __file__, str(size)], capture_output=True, text=True, check=True
        )
        found[f"one call of {size} words"] = json.loads(done.stdout)
    return found


def corpora() -> dict[str, list[Call]]:
    """Return the sample calls (ordinary talk), and the labelled set (nearly all personal data)."""
    from voice_pipeline.metrics.redaction import read_truth

    places = {
        "sample calls": ROOT / "samples" / "truth.jsonl",
        "labelled set": ROOT / "tests" / "pii" / "dev",
    }
    return {name: [list(call.turns) for call in read_truth(at)] for name, at in places.items()}


def _speed(calls: list[Call]) -> dict[str, Any]:
    redactor = Redactor(load_policy("balanced"))
    named = build_redactor("balanced")
    texts = [text for call in calls for _, text in call]
    whole = ["\n".join(text for _, text in call) for call in calls]
    blank, ner = presidio(ner=False), presidio(ner=True)
    systems: dict[str, Callable[[], object]] = {
        "ours": lambda: [redactor.find(turns_of(call)) for call in calls],
        "ours with the names model": lambda: [named.find(turns_of(call)) for call in calls],
        "presidio": lambda: [blank.analyze(text, language="en") for text in texts],
        "presidio with a NER": lambda: [ner.analyze(text, language="en") for text in texts],
        "presidio, turns joined": lambda: [blank.analyze(text, language="en") for text in whole],
        "presidio with a NER, turns joined": lambda: [
            ner.analyze(text, language="en") for text in whole
        ],
    }
    best = dict.fromkeys(systems, float("inf"))
    for _ in range(ROUNDS):  # taking turns: a busy machine is busy for all of them
        for name, act in systems.items():
            started = time.process_time()
            act()
            best[name] = min(best[name], time.process_time() - started)
    words = sum(len(text.split()) for text in texts)
    return {
        "calls": len(calls),
        "turns": len(texts),
        "words": words,
        "words_per_cpu_second": {name: round(words / used) for name, used in best.items()},
        "times_faster_than": {
            name: round(used / best["ours"], 1) for name, used in best.items() if name != "ours"
        },
    }


def presidio(*, ner: bool) -> Any:
    """Return a vanilla analyzer that downloads nothing."""
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry

    from redaction.written import blank_nlp_engine, offline_email_recognizer

    engine = blank_nlp_engine()
    if ner:
        pipe = engine.nlp["en"].add_pipe("ner")
        for label in ("PERSON", "LOC"):
            pipe.add_label(label)
        engine.nlp["en"].initialize()
    registry = RecognizerRegistry(supported_languages=["en"])
    registry.load_predefined_recognizers(languages=["en"], nlp_engine=engine)
    registry.remove_recognizer("EmailRecognizer")
    registry.add_recognizer(offline_email_recognizer())
    return AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=["en"])


def one_call(words: int) -> dict[str, Any]:
    """Find in one call of so many words, made of sample calls one after the other."""
    said: Call = []
    count = 0
    for speaker, text in cycle(turn for call in corpora()["sample calls"] for turn in call):
        said.append((speaker, text))
        count += len(text.split())
        if count >= words:
            break
    redactor = Redactor(load_policy("balanced"))
    turns = turns_of(said)
    redactor.find(turns[:50])
    before = _resident()
    started = time.process_time()
    findings = redactor.find(turns)
    used = time.process_time() - started
    peak = _resident()
    tracemalloc.start()
    redactor.find(turns)
    allocated = tracemalloc.get_traced_memory()[1]
    return {
        "turns": len(turns),
        "findings": len(findings),
        "words_per_cpu_second": round(count / used),
        "peak_resident_megabytes": round(peak, 1),
        "of_which_for_the_call": round(peak - before, 1),
        "peak_allocated_bytes_per_word": round(allocated / count),
    }


def _resident() -> float:
    """Return the peak resident memory of this process in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    for size in sys.argv[1:]:
        print(json.dumps(one_call(int(size))))
