"""`classify`: JSON lines of texts to request types, from a file of examples.

Decides nothing by itself: two gates say what is automatic, and they are set on answers that were
known. The classifier is fitted anew at each start, which takes seconds.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from rich.progress import track

from voice_pipeline.config import Part, load_settings
from voice_pipeline.corrections import Corrections
from voice_pipeline.embedding import build_embedder
from voice_pipeline.errors import BadInput
from voice_pipeline.examples import check_trainable, read_examples
from voice_pipeline.ports import Embedder
from voice_pipeline.spoken import gates
from voice_pipeline.spoken.fewshot import MOST, FewShot
from voice_pipeline.spoken.gates import Gates

TOGETHER = 256  # texts classified at once


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asks for."""

    examples: Path
    embeddings: Path | None = None  # model folder; None: the embedder of the settings
    auto_confidence: float | None = None
    auto_similarity: float | None = None
    error_rate: float | None = None
    corrections: Path | None = None  # file of voice_pipeline.corrections; adds examples
    tune: Path | None = None  # labelled texts to set the gates on; None: the examples themselves
    config: Path | None = None
    data: Path | None = None
    quiet: bool = False


def run(request: Request) -> int:
    """Classify standard input; return 0, or 3 where a line was bad.

    Raises:
        BadInput: the examples, or the texts to tune on, cannot be used.
        Misconfigured: the model folder cannot be used.
    """
    model, chosen = fitted(request)
    if not request.quiet:
        print(_stated(model, chosen), file=sys.stderr)
    for stream in (sys.stdin, sys.stdout):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")
    lines: Iterable[str] = sys.stdin
    if sys.stderr.isatty() and not sys.stdin.isatty():
        lines = track(list(lines), "classifying", transient=True)
    return _classified(lines, model, chosen)


def fitted(request: Request) -> tuple[FewShot, Gates]:
    """Fit the examples and set the gates."""
    examples = read_examples(request.examples)
    if request.corrections is not None:
        examples = Corrections(request.corrections).joined(examples)
    check_trainable(examples, request.examples)
    if len(examples) > MOST:
        raise BadInput(f"{request.examples}: more than {MOST} examples", code="examples")
    model = FewShot(
        [example.text for example in examples],
        [example.label for example in examples],
        embedder=embedder(request.embeddings, request.config, request.data),
    )
    return model, _gates(model, request)


def embedder(folder: Path | None, config: Path | None, data: Path | None) -> Embedder | None:
    """Build the embedder of a folder, or the one of the settings."""
    settings = load_settings(config, data=data)
    if folder is None:
        return build_embedder(settings.embedder)
    return build_embedder(Part(use="local", options={"path": folder}))


def _gates(model: FewShot, request: Request) -> Gates:
    vectors = model.embedder is not None
    trial, file = model.trial(), request.examples
    usual = gates.nearness(trial, vectors=vectors)
    similarity = usual if request.auto_similarity is None else request.auto_similarity
    rate = request.error_rate
    if request.tune is not None:
        file = request.tune
        known = read_examples(request.tune)
        strange = next((one for one in known if one.label not in model.labels), None)
        if strange is not None:
            raise BadInput(
                f"{file}: the label in row {strange.row} has no example in {request.examples}",
                code="examples",
            )
        trial = model.tried([one.text for one in known], [one.label for one in known])
        rate = gates.ERROR_RATE if rate is None else rate
    if rate is None:
        chosen = replace(gates.default(trial, vectors=vectors), similarity=similarity)
        if request.auto_similarity is not None and len(trial.right) >= gates.FEWEST:
            chosen = gates.learn(trial, gates.ERROR_RATE, similarity=similarity)
    elif len(trial.right) < gates.FEWEST:
        raise BadInput(
            f"{file}: {len(trial.right)} labelled texts; at least {gates.FEWEST} are needed to set "
            "gates from an error rate; give --auto-confidence instead",
            code="too_few_examples",
        )
    else:
        chosen = gates.learn(trial, rate, similarity=similarity)
    if request.auto_confidence is not None:
        return Gates(request.auto_confidence, similarity)
    return chosen


def _stated(model: FewShot, chosen: Gates) -> str:
    said = (
        f"{model.examples} examples, {len(model.labels)} labels, {model.made_by}; automatic from "
        f"confidence {chosen.confidence:.3f} and similarity {chosen.similarity:.3f}"
    )
    if chosen.automatic is not None and chosen.error is not None:
        said += f": {chosen.automatic:.0%} of known texts, {chosen.error:.1%} of them wrong"
    return said


def _classified(lines: Iterable[str], model: FewShot, chosen: Gates) -> int:
    code = 0
    numbered = ((number, line) for number, line in enumerate(lines, 1) if line.strip())
    while batch := list(islice(numbered, TOGETHER)):
        read = [_read(number, line) for number, line in batch]
        texts = [text for _, text, error in read if error is None]
        guesses = iter(model.guess(texts))
        for ident, _, error in read:
            if error is not None:
                code = 3
                print(f"error: {error} (bad_input)", file=sys.stderr)
                _print({"id": ident, "error": error})
                continue
            guess = next(guesses)
            sure = chosen.pass_(guess.confidence, guess.similarity)
            _print({
                "id": ident,
                "label": guess.label,
                "confidence": round(guess.confidence, 4),
                "similarity": round(guess.similarity, 4),
                "decision": "auto" if sure else "human",
            })  # fmt: skip
        sys.stdout.flush()
    return code


def _read(number: int, line: str) -> tuple[Any, str, str | None]:
    """Return a line's id and text, or its id and what is wrong with it."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None, "", f"line {number}: is not JSON; give one object a line"
    if not isinstance(record, dict):
        return None, "", f"line {number}: is no object with id and text"
    ident = record.get("id")
    if not isinstance(ident, str | int | float) or isinstance(ident, bool):
        return None, "", f"line {number}: needs an id: a string or a number"
    if not isinstance(record.get("text"), str):
        return ident, "", f"line {number}: needs text: a string"
    return ident, record["text"], None


def _print(answer: dict[str, Any]) -> None:
    text = json.dumps(answer, ensure_ascii=False)
    sys.stdout.write(text.encode("utf-8", "replace").decode() + "\n")
