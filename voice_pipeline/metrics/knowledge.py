"""Whether the right article is found, and whether nothing is found where there is none.

Questions are searched as they stand; calls are redacted, analysed and asked for what their note
says. Plain BM25 runs beside it on the same questions. Articles of the folder count as approved,
and all but those for customers alone are searched, as for an agent.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from voice_pipeline.errors import BadInput
from voice_pipeline.knowledge.article import Article, expires_in, passages, read_folder
from voice_pipeline.knowledge.index import Knowledge
from voice_pipeline.knowledge.lexical import Document, has_fts5, word_index
from voice_pipeline.knowledge.shelf import open_knowledge
from voice_pipeline.knowledge.terms import terms
from voice_pipeline.metrics.notes import labelled, noted
from voice_pipeline.metrics.report import Figure, Report, bootstrap, proportion
from voice_pipeline.policy.load import load_pack
from voice_pipeline.policy.pack import Pack
from voice_pipeline.ports import Embedder
from voice_pipeline.stages.suggest import questions_of

DEPTHS = (1, 3, 5)


@dataclass(frozen=True, slots=True)
class Case:
    """One question or call with the article that answers it."""

    id: str
    questions: tuple[str, ...]
    article: str | None
    call: bool


@dataclass(frozen=True, slots=True)
class Found:
    """What a search gave: article ids, best first; empty is `no article`."""

    case: Case
    ids: tuple[str, ...]

    @property
    def rank(self) -> int:
        """Place of the right article from 1; 0: not found, or there is none."""
        return self.ids.index(self.case.article) + 1 if self.case.article in self.ids else 0


def evaluate(data: Path, *, embedder: Embedder | None = None, pack: Pack | None = None) -> Report:
    """Search labelled questions.

    Args:
        data: a folder with `truth.jsonl`, lines of `{id, text | turns, article}`, and `articles/`.
        embedder: None: search by words.

    Raises:
        BadInput: truth or an article cannot be used.
    """
    pack = pack or load_pack()
    articles = _articles(data)
    cases = _cases(data / "truth.jsonl", {article.id for article in articles}, pack)
    knowledge = open_knowledge(articles, None, pack, embedder)
    ours, seconds = _timed(lambda case: _search(knowledge, case), cases)
    plain, plain_seconds = _timed(_baseline(articles), cases)
    groups: list[tuple[str, Callable[[Case], bool]]] = [("questions", lambda case: not case.call)]
    if any(case.call for case in cases):
        groups.append(("calls", lambda case: case.call))
    figures = [
        figure
        for name, belongs in groups
        for figure in _figures(name, [f for f in ours if belongs(f.case)])
    ]
    figures += [
        figure
        for name, belongs in groups
        for figure in _ranks(f"plain BM25, {name}", [f for f in plain if belongs(f.case)])
    ]
    ratio = seconds / plain_seconds if plain_seconds else 0.0
    figures.append(Figure("processor time against plain BM25", ratio, len(cases), "searches"))
    rows = tuple(
        {
            "id": found.case.id,
            "right": found.case.article or "(none)",
            "first": found.ids[0] if found.ids else "(none)",
            "rank": found.rank or None,
        }
        for found in ours
        if (found.ids[0] if found.ids else None) != found.case.article
    )
    return Report("knowledge", len(cases), tuple(figures), rows, _notes(articles, embedder))


def _notes(articles: Sequence[Article], embedder: Embedder | None) -> tuple[str, ...]:
    how = f"vectors of {embedder.made_by}" if embedder else "words and the pack's examples"
    engine = "SQLite FTS5" if has_fts5() else "BM25 in Python: this SQLite has no FTS5"
    notes = [f"{len(articles)} articles; searched by {how}; {engine}", "rows are the misses"]
    if late := sum(expires_in(article, date.today()) < 0 for article in articles):
        notes.append(f"{late} articles are out of date; they were searched all the same")
    return tuple(notes)


def _articles(data: Path) -> list[Article]:
    folder = data / "articles"
    if not folder.is_dir():
        raise BadInput(f"{data.name}: no folder called articles in it", code="not_found")
    read, faults = read_folder(folder)
    if faults:
        raise BadInput(f"{faults[0]}", code="article")
    if not read:
        raise BadInput(f"{folder.name}: no article (*.md) in it", code="not_found")
    newest = {one.article.id: one.article for one in sorted(read, key=lambda r: r.article.version)}
    return list(newest.values())


def _cases(truth: Path, known: set[str], pack: Pack) -> list[Case]:
    if not truth.is_file():
        raise BadInput(f"{truth.parent.name}: no truth.jsonl there", code="not_found")
    cases: list[Case] = []
    for number, line in enumerate(truth.read_text("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            record: Mapping[str, Any] = json.loads(line)
            ident, article = str(record["id"]), record["article"]
            questions: tuple[str, ...]
            if "text" in record:
                questions = (str(record["text"]),)
            else:
                (one,) = noted([labelled(record)], pack=pack)
                questions = tuple(questions_of(one.note, one.transcript))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise BadInput(
                f"{truth.name}:{number}: a line has id, text or turns, and article", code="article"
            ) from None
        if article is not None and article not in known:
            raise BadInput(f"{truth.name}:{number}: no such article in articles/", code="article")
        cases.append(Case(ident, questions, article, "text" not in record))
    return cases


def _search(knowledge: Knowledge, case: Case) -> tuple[str, ...]:
    hits = knowledge.search(case.questions, audience="agent", locale="en", limit=max(DEPTHS))
    return tuple(hit.article.id for hit in hits)


def _baseline(articles: Sequence[Article]) -> Callable[[Case], tuple[str, ...]]:
    """Plain BM25 over the joined question: no floor, no bridge, what a search box does."""
    index = word_index(
        [
            Document(
                tuple(terms(article.title)),
                tuple(term for p in passages(article) for term in terms(f"{p.heading} {p.text}")),
            )
            for article in articles
        ]
    )

    def search(case: Case) -> tuple[str, ...]:
        scores = index.scores(terms(" ".join(case.questions)))
        order = sorted(scores, key=lambda at: (-scores[at], at))
        return tuple(articles[at].id for at in order[: max(DEPTHS)])

    return search


def _timed(
    search: Callable[[Case], tuple[str, ...]], cases: Sequence[Case]
) -> tuple[list[Found], float]:
    """Return what was found, and the processor seconds of the second of two passes."""
    found = [Found(case, search(case)) for case in cases]
    before = time.process_time()
    for case in cases:
        search(case)
    return found, time.process_time() - before


def _figures(name: str, found: Sequence[Found]) -> list[Figure]:
    none = [one for one in found if one.case.article is None]
    said_none = [one for one in found if not one.ids]
    right = sum(one.case.article is None for one in said_none)
    figures = _ranks(name, found)
    if none:
        figures += [
            proportion(f"`no article` right, {name}", right, len(said_none), "answers of none"),
            proportion(f"`no article` found, {name}", right, len(none), "questions without one"),
        ]
    return figures


def _ranks(name: str, found: Sequence[Found]) -> list[Figure]:
    asked = [one for one in found if one.case.article is not None]
    figures = [
        proportion(
            f"recall@{depth}, {name}", sum(0 < one.rank <= depth for one in asked), len(asked), name
        )
        for depth in DEPTHS
    ]
    low, high = bootstrap(asked, _mrr)
    return [*figures, Figure(f"MRR, {name}", _mrr(asked), len(asked), name, low, high)]


def _mrr(found: Sequence[Found]) -> float:
    return sum(1 / one.rank for one in found if one.rank) / len(found) if found else 0.0
