"""Trains the model that finds names and addresses: a small token classifier of spaCy's parts.

Data comes from `generate.py`, new for every step; the seed fixes it. The checkpoint is chosen on
templates and names that took no part. It refuses to be a judge of real calls: synthetic figures
say that training worked, no more. Figures on labelled talk stand in the card.

    python models/recipes/names/train.py --out models/artefacts/names-en.zip

Minutes on one core. Needs nothing beyond what voice-pipeline installs.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import random
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import spacy
from generate import Example as Labelled
from generate import Generator
from spacy.tokens import Doc
from spacy.training import Example

from redaction.model import ABOUT, CONFIG, FORMAT, LABELS, WEIGHTS, NamesModel

SEED = 20261124
STEPS, BATCH = 3000, 48  # examples a step
DEV = 1500  # held-out examples
EVERY = 500  # steps between two looks at the held-out templates
WIDTH, DEPTH, AROUND = 72, 3, 2  # vector, layers, neighbours that a layer sees on each side
ROWS = {"NORM": 3000, "PREFIX": 500, "SUFFIX": 2000, "SHAPE": 200}
RATE = (0.002, 0.0002)  # learning rate at the first and the last step
KEPT_BITS = 11  # of the 23 bits of a weight's fraction: the file packs better, figures stay


def blank() -> Any:
    """Return the untrained pipeline."""
    nlp = spacy.blank("en")
    nlp.add_pipe("tok2vec", config={"model": {
        "@architectures": "spacy.Tok2Vec.v2",
        "embed": {"@architectures": "spacy.MultiHashEmbed.v2", "width": WIDTH,
                  "attrs": list(ROWS), "rows": list(ROWS.values()),
                  "include_static_vectors": False},
        "encode": {"@architectures": "spacy.MaxoutWindowEncoder.v2", "width": WIDTH,
                   "depth": DEPTH, "window_size": AROUND, "maxout_pieces": 3},
    }})  # fmt: skip
    tagger = nlp.add_pipe("tagger", config={"model": {
        "@architectures": "spacy.Tagger.v2", "normalize": True,
        "tok2vec": {"@architectures": "spacy.Tok2VecListener.v1", "width": WIDTH},
    }})  # fmt: skip
    for label in LABELS:
        tagger.add_label(label)
    return nlp


def train(
    *, steps: int = STEPS, dev: int = DEV, seed: int = SEED, every: int = EVERY
) -> tuple[Any, dict[str, float]]:
    """Train; return the pipeline of the best checkpoint and its figures on held-out templates."""
    random.seed(seed)
    spacy.util.fix_random_seed(seed)
    nlp = blank()
    source = Generator(seed, dev=False)
    judged = list(Generator(seed + 1, dev=True).examples(dev))
    sample = list(Generator(seed + 2, dev=False).examples(64))
    nlp.initialize(lambda: [_gold(nlp, item) for item in sample])
    sgd = nlp.resume_training()
    best: tuple[float, bytes, dict[str, float]] = (-1.0, b"", {})
    started = time.process_time()
    for step in range(1, steps + 1):
        share = min(1.0, step / 100) * (1 - step / (steps + 1))
        sgd.learn_rate = RATE[1] + (RATE[0] - RATE[1]) * share
        nlp.update([_gold(nlp, item) for item in source.examples(BATCH)], sgd=sgd, drop=0.25)
        if step % every == 0 or step == steps:
            figures = judge(NamesModel(nlp), judged)
            print(f"{step:>6} {time.process_time() - started:>6.0f} s", figures, flush=True)
            if figures["f1"] > best[0]:
                best = (figures["f1"], nlp.to_bytes(exclude=["vocab", "tokenizer"]), figures)
    nlp.from_bytes(best[1], exclude=["vocab", "tokenizer"])
    return nlp, best[2]


def judge(model: NamesModel, examples: Sequence[Labelled]) -> dict[str, float]:
    """Return precision, recall and F1 over tokens, and the share of plain turns flagged."""
    right = found = wanted = plain = flagged = 0
    by: dict[str, list[int]] = {label: [0, 0] for label in LABELS[1:]}
    for at in range(0, len(examples), 256):
        some = examples[at : at + 256]
        for example, rows in zip(some, model.scores([e.tokens for e in some]), strict=True):
            guessed = [LABELS[int(row)] for row in np.asarray(rows).argmax(axis=1)]
            pairs = [(g, t) for g, t in zip(guessed, example.labels, strict=True) if t]
            right += sum(g == t != "O" for g, t in pairs)
            found += sum(g != "O" for g, _ in pairs)
            wanted += sum(t != "O" for _, t in pairs)
            for label, counts in by.items():
                counts[0] += sum(g == t == label for g, t in pairs)
                counts[1] += sum(t == label for _, t in pairs)
            clean = all(t == "O" for _, t in pairs)
            plain += clean
            flagged += clean and any(g != "O" for g, _ in pairs)
    precision, recall = right / max(1, found), right / max(1, wanted)
    return {
        "f1": round(2 * precision * recall / max(1e-9, precision + recall), 4),
        "precision": round(precision, 4),
        "recall": round(recall, 4),
        **{f"{k.lower()}_recall": round(a / max(1, b), 4) for k, (a, b) in by.items()},
        "plain_flagged": round(flagged / max(1, plain), 4),
    }


def pack(nlp: Any, figures: dict[str, float], out: Path) -> None:
    """Write the model file; equal weights make equal bytes."""
    for _, pipe in nlp.pipeline:
        for node in pipe.model.walk():
            for name in node.param_names:
                if node.has_param(name):
                    node.set_param(name, _coarse(np.asarray(node.get_param(name))))
    config = nlp.config.copy()
    for part in ("training", "initialize", "corpora", "paths", "system"):
        config.pop(part, None)
    about = {"format": FORMAT, "labels": LABELS, "seed": SEED, "spacy": spacy.__version__,
             "held_out": figures}  # fmt: skip
    files = {
        ABOUT: json.dumps(about, sort_keys=True).encode(),
        CONFIG: config.to_bytes(),
        WEIGHTS: nlp.to_bytes(exclude=["vocab", "tokenizer"]),
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        for name, blob in files.items():
            file.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), blob,
                          zipfile.ZIP_DEFLATED, 9)  # fmt: skip
    out.write_bytes(buffer.getvalue())


def _coarse(weights: Any) -> Any:
    """Round a weight's fraction to `KEPT_BITS` bits."""
    bits = np.ascontiguousarray(weights, dtype=np.float32).view(np.uint32)
    drop = 23 - KEPT_BITS
    half = np.uint32(1 << (drop - 1))
    kept = ((bits + half) >> np.uint32(drop)) << np.uint32(drop)
    return kept.view(np.float32).reshape(weights.shape)


def _gold(nlp: Any, item: Labelled) -> Any:
    words = Doc(nlp.vocab, words=item.tokens)
    return Example(words, Doc(nlp.vocab, words=item.tokens, tags=item.labels))


def main() -> None:
    """Run the recipe."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--out", type=Path, required=True, help="the model file to write")
    parser.add_argument("--steps", type=int, default=STEPS)
    given = parser.parse_args()
    nlp, figures = train(steps=given.steps)
    pack(nlp, figures, given.out)
    blob = given.out.read_bytes()
    print(f"{given.out}: {len(blob)} bytes, sha256 {hashlib.sha256(blob).hexdigest()}")


if __name__ == "__main__":
    main()
