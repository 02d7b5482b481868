"""Whether request types are right, whether confidence means what it says, what passes the gates.

Every figure stands beside plain TF-IDF with logistic regression, fitted on the same examples in
the same run. Texts that belong to no type measure what is wrongly automatic.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voice_pipeline.errors import BadInput
from voice_pipeline.examples import Example, check_trainable, read_examples
from voice_pipeline.metrics.report import Figure, Report, proportion
from voice_pipeline.ports import Embedder
from voice_pipeline.spoken import gates
from voice_pipeline.spoken.fewshot import FewShot, Guess, normal

BINS = 15  # of equal width, as the calibration literature has them (Guo et al. 2017)
NOWHERE = (None, "", "oos")  # labels of texts that belong to no type
PRECISION = 0.94  # at which coverage is stated
ROUNDS = 200  # of the bootstrap
TURNS = 4  # turns of a caller that may carry the request
FEWEST_WORDS = 3
SHARES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)  # of the coverage curve, surest first

Flags = NDArray[np.bool_]
Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Asked:
    """One labelled text, or the turns of one caller."""

    texts: tuple[str, ...]
    label: str | None  # None: belongs to no type
    part: str  # slice that it is counted in as well


@dataclass(frozen=True, slots=True)
class Answered:
    """What a classifier said of texts whose type is known."""

    truth: NDArray[np.str_]
    label: NDArray[np.str_]
    confidence: Numbers
    automatic: Flags

    @property
    def right(self) -> Flags:
        return np.asarray(self.truth == self.label)


def evaluate(data: Path, *, embedder: Embedder | None = None, baseline: bool = True) -> Report:
    """Fit on the examples of a folder and measure on its other texts.

    Args:
        data: `truth.jsonl` with `{id, text|turns, label, split?, slice?}`; lines of the split
            `train` are the examples, or `examples.csv` beside it holds them. A label of null or
            `oos` means that the text belongs to no type.
        embedder: adds likeness of vectors; None: words alone.
        baseline: also fit plain TF-IDF with logistic regression.

    Raises:
        BadInput: there is no truth, nothing to fit, or nothing to measure.
    """
    examples, asked = read(data)
    texts, labels = [one.text for one in examples], [one.label for one in examples]
    model = FewShot(texts, labels, embedder=embedder)
    chosen = gates.default(model.trial(), vectors=embedder is not None)

    def passes(guess: Guess) -> bool:
        return chosen.pass_(guess.confidence, guess.similarity)

    inside = [one for one in asked if one.label is not None]
    outside = [one for one in asked if one.label is None]
    found = _answered(model.guess, inside, passes)
    figures = [*_figures(found, ""), *_outside(model.guess, outside, passes, "")]
    if baseline:
        plain = Plain(texts, labels)
        beside = _answered(plain.guess, inside, lambda guess: guess.confidence >= PRECISION)
        figures += _figures(beside, ", plain TF-IDF", automatic=False)
    notes = [
        f"{model.made_by}; {model.examples} examples of {len(model.labels)} labels; automatic from "
        f"confidence {chosen.confidence:.3f} and similarity {chosen.similarity:.3f}",
    ]
    if not outside:
        notes.append("not measured: texts that belong to no type; give some with the label null")
    return Report(
        "classification", len(asked), tuple(figures), tuple(_rows(found, inside)), tuple(notes)
    )


def read(data: Path) -> tuple[list[Example], list[Asked]]:
    """Return the examples and the texts to measure on; a text that is an example is left out."""
    file, examples, asked = data / "truth.jsonl", [], []
    if (data / "examples.csv").is_file():
        examples = list(read_examples(data / "examples.csv"))
    for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        record = _record(file, number, line)
        label = record.get("label")
        texts = _texts(record)
        if record.get("split") == "train":
            if label not in NOWHERE:
                examples += [Example(text, str(label), number) for text in texts]
        else:
            where = str(record.get("slice") or "")
            asked.append(Asked(texts, None if label in NOWHERE else str(label), where))
    if not examples:
        raise BadInput(f"{data}: no examples; give examples.csv, or lines with split train")
    check_trainable(examples, data)
    known = {normal(example.text) for example in examples}
    asked = [one for one in asked if not any(normal(text) in known for text in one.texts)]
    if not any(one.label is not None for one in asked):
        raise BadInput(f"{file}: no labelled text besides the examples to measure on")
    return examples, asked


def _record(file: Path, number: int, line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError:
        record = None
    if not isinstance(record, dict) or "label" not in record or not _texts(record):
        raise BadInput(f"{file}: line {number} is no object with label and text or turns")
    return record


def _texts(record: Mapping[str, Any]) -> tuple[str, ...]:
    if isinstance(record.get("text"), str):
        return (record["text"],)
    turns = record.get("turns")
    said = [
        turn["text"]
        for turn in (turns if isinstance(turns, list) else [])
        if isinstance(turn, dict) and isinstance(turn.get("text"), str)
        and str(turn.get("speaker", "")).lower() != "agent"
    ]  # fmt: skip
    long = [text for text in said if len(text.split()) >= FEWEST_WORDS]
    return tuple((long or said)[:TURNS])


def _answered(
    guess: Callable[[Sequence[str]], list[Guess]],
    asked: Sequence[Asked],
    passes: Callable[[Guess], bool],
) -> Answered:
    best = _best(guess, asked)
    return Answered(
        np.array([one.label or "" for one in asked]),
        np.array([one.label for one in best]),
        np.array([one.confidence for one in best]),
        np.array([passes(one) for one in best], bool),
    )


def _best(guess: Callable[[Sequence[str]], list[Guess]], asked: Sequence[Asked]) -> list[Guess]:
    """Return the surest guess of each caller's turns."""
    every = iter(guess([text for one in asked for text in one.texts]))
    return [
        max((next(every) for _ in one.texts), key=lambda found: found.confidence) for one in asked
    ]


def _figures(found: Answered, name: str, *, automatic: bool = True) -> Iterator[Figure]:
    n, right = len(found.right), found.right
    yield proportion(f"accuracy{name}", int(right.sum()), n, "texts")
    yield _resampled(f"macro F1{name}", macro_f1, found)
    yield _resampled(f"calibration error{name}", calibration_error, found)
    kept = coverage(found.confidence, right, PRECISION)
    yield proportion(f"coverage at {PRECISION:.0%} right{name}", kept, n, "texts")
    if automatic:
        sure = int(found.automatic.sum())
        yield proportion("automatic", sure, n, "texts")
        yield proportion("automatic and right", int((found.automatic & right).sum()), sure, "texts")


def _outside(
    guess: Callable[[Sequence[str]], list[Guess]],
    asked: Sequence[Asked],
    passes: Callable[[Guess], bool],
    name: str,
) -> Iterator[Figure]:
    if asked:
        wrong = sum(map(passes, _best(guess, asked)))
        yield proportion(f"out of scope, wrongly automatic{name}", wrong, len(asked), "texts")


def _resampled(name: str, figure: Callable[[Answered], float], found: Answered) -> Figure:
    """Return a figure with its 95 % interval over resampled texts (Efron 1979).

    The spread is put around the figure: resampling by itself inflates a calibration error.
    """
    draw, n = np.random.default_rng(0), len(found.truth)

    def again() -> float:
        at = draw.integers(0, n, n)
        return figure(
            Answered(found.truth[at], found.label[at], found.confidence[at], found.automatic[at])
        )

    low, middle, high = np.quantile([again() for _ in range(ROUNDS)], [0.025, 0.5, 0.975])
    value = figure(found)
    return Figure(
        name, value, n, "texts", max(0.0, value + low - middle), min(1.0, value + high - middle)
    )


def macro_f1(found: Answered) -> float:
    """Return the mean F1 of the labels that occur."""
    scores = []
    for label in np.unique(found.truth):
        hits = float(((found.label == label) & (found.truth == label)).sum())
        scores.append(2 * hits / float((found.label == label).sum() + (found.truth == label).sum()))
    return float(np.mean(scores))


def calibration_error(found: Answered) -> float:
    """Return the expected calibration error: mean gap of confidence and accuracy over bins."""
    gaps = [
        inside.sum() * abs(found.confidence[inside].mean() - found.right[inside].mean())
        for _, inside in _bins(found.confidence)
    ]
    return float(sum(gaps) / len(found.confidence))


def _bins(confidence: Numbers) -> Iterator[tuple[int, Flags]]:
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    for number in range(BINS):
        inside = place == number
        if inside.any():
            yield number, inside


def coverage(confidence: Numbers, right: Flags, precision: float) -> int:
    """Return how many of the surest answers are right in that share; chosen on the answers
    themselves, so it is what gates could reach at best."""
    order = np.argsort(-confidence, kind="stable")
    enough = np.cumsum(right[order]) >= precision * np.arange(1, len(order) + 1)
    return int(np.flatnonzero(enough)[-1] + 1) if enough.any() else 0


def _rows(found: Answered, asked: Sequence[Asked]) -> Iterator[dict[str, Any]]:
    """Yield the reliability table, the coverage curve, and a row a label and a slice."""

    def row(table: str, part: str, inside: Any) -> dict[str, Any]:
        return {
            "table": table,
            "slice": part,
            "n": len(found.right[inside]),
            "accuracy": float(found.right[inside].mean()),
            "confidence": float(found.confidence[inside].mean()),
            "automatic": float(found.automatic[inside].mean()),
        }

    for number, inside in _bins(found.confidence):
        yield row("reliability", f"{number / BINS:.2f} – {(number + 1) / BINS:.2f}", inside)
    order = np.argsort(-found.confidence, kind="stable")
    for share in SHARES:
        surest = order[: max(1, round(share * len(order)))]
        yield row("coverage", f"surest {share:.0%}", surest)
    parts = np.array([one.part for one in asked])
    for part in np.unique(parts[parts != ""]):
        yield row("slice", str(part), parts == part)
    for label in np.unique(found.truth):
        yield row("label", str(label), found.truth == label)


class Plain:
    """The baseline: TF-IDF of words and letter groups, logistic regression, as a textbook has it.

    In the space of the examples, where the fit is exact and small.
    """

    def __init__(self, texts: Sequence[str], labels: Sequence[str]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_union

        self._views = make_union(
            TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
            TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True),
        )
        examples = self._views.fit_transform(texts)
        alike = (examples @ examples.T).toarray() / 2
        values, vectors = np.linalg.eigh(alike)
        kept = values > 1e-9 * values[-1]
        self._basis = examples.T @ (vectors[:, kept] / np.sqrt(values[kept])) / 2
        self._model = LogisticRegression(C=30.0, max_iter=300, tol=1e-3)
        self._model.fit(examples @ self._basis, labels)

    def guess(self, texts: Sequence[str]) -> list[Guess]:
        """Return the most likely label of each text; it knows no similarity."""
        if not texts:
            return []
        shares = self._model.predict_proba(self._views.transform(texts) @ self._basis)
        return [
            Guess(str(self._model.classes_[row.argmax()]), float(row.max()), 0.0) for row in shares
        ]
