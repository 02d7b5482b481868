"""Every figure of docs/classification.md: accuracy, calibration, gates, speed.

    python tests/bench/classify.py --natcs DIR [--embeddings DIR] [--seeds 4]

Each task draws ten (or three) texts a type as examples and tests on others; eight types are left
out of the examples and must not become automatic, nor must elsewhere.txt, which is about other
things altogether. Nothing is written; times are processor time.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import yaml

from voice_pipeline.analysts._intent import Intents
from voice_pipeline.config import Part
from voice_pipeline.embedding import build_embedder
from voice_pipeline.metrics.classification import (
    PRECISION,
    Answered,
    Plain,
    calibration_error,
    coverage,
)
from voice_pipeline.policy.load import load_pack
from voice_pipeline.ports import Embedder, Vectors
from voice_pipeline.spoken import gates
from voice_pipeline.spoken.fewshot import FewShot, Guess, normal

Rows = list[tuple[str, str]]  # text, label
HELD, TESTED = 8, 20  # types left out; texts a type that are tested
ELSEWHERE = (Path(__file__).parent / "elsewhere.txt").read_text("utf-8").splitlines()


class Remembered:
    """An embedder that computes each text once: seeds share texts."""

    name = "remembered"

    def __init__(self, inner: Embedder) -> None:
        self._inner, self._known = inner, {}
        self.made_by, self.dimension = inner.made_by, inner.dimension

    def embed(self, texts: list[str]) -> Vectors:
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        self._known.update(zip(new, self._inner.embed(new), strict=True))
        return np.array([self._known[text] for text in texts]).reshape(-1, self.dimension)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--natcs", type=Path, required=True)
    parser.add_argument("--embeddings", type=Path)
    parser.add_argument("--seeds", type=int, default=4)
    asked = parser.parse_args()
    natcs = {
        name: _natcs(asked.natcs / f"{name}.jsonl") for name in ("development", "test-banking")
    }
    pack = [(text, kind.label) for kind in load_pack().taxonomy.request_types
            for text in kind.examples]  # fmt: skip
    both = [row for rows in natcs.values() for row in rows]
    tasks = {
        "NatCS, both, 10 a type": (both, 10, HELD),
        "NatCS, both, 3 a type": (both, 3, HELD),
        "NatCS development, 3 a type": (natcs["development"], 3, HELD),
        "NatCS test-banking, 3 a type": (natcs["test-banking"], 3, HELD),
        "the pack's own types, 10 a type": (pack, 10, 3),
    }
    embedder = None
    if asked.embeddings:
        built = build_embedder(Part(use="local", options={"path": asked.embeddings}))
        embedder = Remembered(built)
    for name, (rows, shots, held) in tasks.items():
        for kind in ("plain", "words", *(["vectors"] if embedder else [])):
            row = _task(_unique(rows), shots, held, kind, embedder, asked.seeds)
            print(json.dumps({"task": name, "method": kind, **row}), flush=True)
    print(json.dumps(_pack_on(both)))
    print(json.dumps(_speed(_unique(both))))


def _natcs(file: Path) -> Rows:
    records = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    return [(record["utterance"], record["intent"]) for record in records]


def _unique(rows: Rows) -> Rows:
    return list({normal(text): (text, label) for text, label in rows}.values())


def _split(rows: Rows, shots: int, held: int, seed: int) -> tuple[Rows, Rows, list[str]]:
    draw, by_label = random.Random(seed), defaultdict(list)
    for text, label in rows:
        by_label[label].append(text)
    labels = sorted(by_label)
    draw.shuffle(labels)
    train, test, outside = [], [], []
    for label in labels:
        texts = by_label[label]
        draw.shuffle(texts)
        if label in labels[:held]:
            outside += texts[:TESTED]
        else:
            train += [(text, label) for text in texts[:shots]]
            test += [(text, label) for text in texts[shots : shots + TESTED]]
    return train, test, outside


def _task(
    rows: Rows, shots: int, held: int, kind: str, embedder: Embedder | None, seeds: int
) -> dict[str, object]:
    found, near, far = [], [], []
    for seed in range(seeds):
        train, test, outside = _split(rows, shots, held, seed)
        texts, labels = [text for text, _ in train], [label for _, label in train]
        if kind == "plain":
            model: Plain | FewShot = Plain(texts, labels)
            chosen = gates.Gates(PRECISION, 0.0)
        else:
            model = FewShot(texts, labels, embedder=embedder if kind == "vectors" else None)
            chosen = gates.default(model.trial(), vectors=kind == "vectors")

        def automatic(guesses: list[Guess], chosen: gates.Gates = chosen) -> list[bool]:
            return [chosen.pass_(guess.confidence, guess.similarity) for guess in guesses]

        guesses = model.guess([text for text, _ in test])
        found += [(label, guess.label, guess.confidence, sure) for (_, label), guess, sure
                  in zip(test, guesses, automatic(guesses), strict=True)]  # fmt: skip
        near += automatic(model.guess(outside))
        far += automatic(model.guess(ELSEWHERE))
    truth, label, confidence, sure = (np.array(column) for column in zip(*found, strict=True))
    answered = Answered(truth, label, confidence, sure)
    right = answered.right
    return {
        "n": len(right),
        "accuracy": round(float(right.mean()), 3),
        "calibration_error": round(calibration_error(answered), 3),
        "coverage_at_94": round(coverage(confidence, right, PRECISION) / len(right), 3),
        "automatic": round(float(sure.mean()), 3),
        "of_those_right": round(float(right[sure].mean()), 3) if sure.any() else None,
        "left_out_types_automatic": round(float(np.mean(near)), 3),
        "elsewhere_automatic": round(float(np.mean(far)), 3),
    }


def _pack_on(rows: Rows) -> dict[str, object]:
    """The default pack as the offline analyst uses it, on NatCS mapped to its types."""
    types = yaml.safe_load((Path(__file__).parent / "natcs_types.yaml").read_text("utf-8"))
    decide = Intents(load_pack())
    found = [decide.of_texts([text], [0]) for text, _ in rows]
    right = [one.label in types[label] for one, (_, label) in zip(found, rows, strict=True)]
    sure = [ok for ok, one in zip(right, found, strict=True) if one.decision == "auto"]
    return {
        "task": "NatCS by the default pack",
        "n": len(right),
        "accuracy": round(float(np.mean(right)), 3),
        "automatic": round(len(sure) / len(right), 3),
        "of_those_right": round(float(np.mean(sure)), 3),
    }


def _speed(rows: Rows) -> dict[str, object]:
    """77 types with ten examples, as many words as people write: fit and classify."""
    texts = [" ".join(text.split()[:14]) for text, _ in rows]
    started = time.process_time()
    model = FewShot(texts[:770], [f"type {place % 77}" for place in range(770)])
    fitted = time.process_time()
    model.guess(texts * 3)
    spent = time.process_time() - fitted
    return {
        "fit_770_seconds": round(fitted - started, 2),
        "texts_a_second": round(3 * len(texts) / spent),
        "mean_words": round(sum(len(text.split()) for text in texts) / len(texts), 1),
    }


if __name__ == "__main__":
    sys.exit(main())
