"""What the `knowledge` commands do. Articles are printed as the text they are, never as markup."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from voice_pipeline.codec import plain
from voice_pipeline.config import Settings, load_settings
from voice_pipeline.embedding import build_embedder
from voice_pipeline.errors import BadInput, Misconfigured
from voice_pipeline.kit import Kit
from voice_pipeline.knowledge.article import (
    Article,
    Audience,
    ReadArticle,
    expires_in,
    passages,
    read_article,
    read_folder,
)
from voice_pipeline.knowledge.library import WARN_DAYS, Library, Verdict
from voice_pipeline.knowledge.shelf import open_knowledge
from voice_pipeline.metrics.gaps import gaps_of
from voice_pipeline.opening import has_store, open_store
from voice_pipeline.policy.load import load_pack
from voice_pipeline.policy.source import Fault, Refused
from voice_pipeline.redactors import build_redactor
from voice_pipeline.scrub import Scrubber
from voice_pipeline.stages.release import hard_labels
from voice_pipeline.store import Store

BAD_INPUT = 3
Context = Mapping[str, Path | None]


@contextmanager
def opened(context: Context) -> Iterator[tuple[Settings, Store, Library]]:
    settings = load_settings(context["config"], data=context["data"])
    store = open_store(settings)
    try:
        yield settings, store, Library(store.database)
    finally:
        store.close()


def bring(
    context: Context,
    folder: Path,
    *,
    by: str,
    approved_by: str | None,
    why: str,
    as_json: bool,
) -> int:
    """Import; print faults as FILE:LINE; return 3 where there are any, the rest is imported."""
    read, faults = _read(folder)
    with opened(context) as (settings, _, library):
        done = library.bring(read, by=by, today=date.today(), approved_by=approved_by, why=why)
        redactor = build_redactor(settings.redaction)
    faults += done.faults
    for fault in faults:
        print(f"error: {fault}", file=sys.stderr)
    for article in (*done.proposed, *done.unchanged):
        _warn(article)
    for article in done.proposed:
        for number, passage in enumerate(passages(article), 1):
            if kinds := hard_labels(f"{article.title}. {passage.text}", redactor):
                print(
                    f"warning: {article.id}: passage {number} reads like {', '.join(sorted(kinds))}"
                    " and will never be suggested; write it without (article_number)",
                    file=sys.stderr,
                )
    counts = {
        "proposed": len(done.proposed),
        "approved": len(done.approved),
        "unchanged": len(done.unchanged),
        "faults": len(faults),
    }
    if as_json:
        print(json.dumps(counts | {"articles": [_brief(a) for a in done.proposed]}, indent=2))
    else:
        print(", ".join(f"{count} {name}" for name, count in counts.items()))
        if done.proposed and approved_by is None:
            print("proposed articles are not used yet: voice-pipeline knowledge approve ID")
    return BAD_INPUT if faults else 0


def list_articles(context: Context, *, as_json: bool) -> int:
    with opened(context) as (_, _, library):
        entries, marks = library.entries(), library.marks()
    today = date.today()
    rows = [
        _brief(entry.article)
        | {"state": entry.state, "days_left": expires_in(entry.article, today)}
        | marks.get(entry.article.id, {"useful": 0, "wrong": 0})
        for entry in entries
    ]
    if as_json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return 0
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 160  # a file has room; cut columns help nobody
    table = Table(
        "article", "version", "state", "for", "locale", "until", "useful", "wrong", "title"
    )
    for entry, row in zip(entries, rows, strict=True):
        article = entry.article
        cells = (
            article.id, article.version, entry.state, ", ".join(article.audience), article.locale,
            article.reviewed_until, row["useful"], row["wrong"], article.title,
        )  # fmt: skip
        table.add_row(*(Text(str(cell)) for cell in cells))
    console.print(table)
    for entry in entries:
        if entry.state in ("approved", "proposed"):
            _warn(entry.article)
    return 0


def show_article(context: Context, name: str, version: int | None, *, as_json: bool) -> int:
    with opened(context) as (_, _, library):
        entries, events, marks = library.entries(name), library.events(name), library.marks()
    entry = next((e for e in reversed(entries) if version in (None, e.article.version)), None)
    if entry is None:
        raise BadInput(f"{name}: no such article or version; see `knowledge list`", code="article")
    article = entry.article
    record = (
        _brief(article)
        | {"state": entry.state, "sha256": article.sha256, "body": article.body}
        | marks.get(name, {"useful": 0, "wrong": 0})
        | {"history": [plain(event) for event in events]}
    )
    if as_json:
        print(json.dumps(record, indent=2, ensure_ascii=False))
        return 0
    for key in ("article", "version", "state", "title", "owner", "locale", "reviewed_until"):
        print(f"{key}: {record[key]}")
    print(f"audience: {', '.join(article.audience)}")
    print(f"sha256: {article.sha256}\nmarks: {record['useful']} useful, {record['wrong']} wrong")
    for event in events:
        at = time.strftime("%Y-%m-%d %H:%M", time.gmtime(event.at))
        print(f"{at} version {event.version} {event.event} by {event.by or '?'}: {event.why}")
    print(f"\n{article.body}")
    return 0


def search_articles(
    context: Context, query: str, *, reader: Audience, locale: str, as_json: bool
) -> int:
    with opened(context) as (settings, _, library):
        articles = library.usable(date.today())
        asked = Scrubber(build_redactor(settings.redaction))(query, False)
        embedder = build_embedder(settings.embedder) if articles else None
        pack = load_pack(settings.policy)
        knowledge = open_knowledge(articles, library, pack, embedder)
        hits = knowledge.search([asked], audience=reader, locale=locale)
    rows = [
        _brief(hit.article)
        | {
            "sha256": hit.article.sha256,
            "passage": hit.passage.text,
            "score": hit.score,
            "why": hit.why,
        }
        for hit in hits
    ]
    if as_json:
        print(json.dumps({"articles": rows, "no_article": not rows}, indent=2, ensure_ascii=False))
        return 0
    if not rows:
        print("no article" if articles else "no article: none is approved and in date")
    for row in rows:
        print(f"{row['score']:.2f}  {row['article']} version {row['version']}: {row['title']}")
        print(f"      {row['passage']}")
    return 0


def decide(
    context: Context, what: str, name: str, *, by: str, why: str, version: int | None
) -> int:
    with opened(context) as (_, _, library):
        if what == "approve":
            article = library.approve(name, by=by, why=why, today=date.today(), version=version)
            print(f"{name} version {article.version} is approved")
            _warn(article)
        elif what == "retire":
            article = library.retire(name, by=by, why=why, version=version)
            print(f"{name} version {article.version} is retired")
        else:
            event = library.undo(name, by=by, why=why)
            print(f"{name} version {event.version}: {event.event} is taken back")
    return 0


def mark_article(
    context: Context, name: str, verdict: Verdict, *, by: str, call: str | None
) -> int:
    with opened(context) as (_, store, library):
        if call is not None and call not in store.list_calls():
            raise BadInput(f"{call}: no such call in this data folder", code="not_found")
        article = library.mark(name, verdict, by=by, call=call)
    print(f"{name} version {article.version}: marked {verdict}")
    return 0


def show_gaps(context: Context, *, as_json: bool) -> int:
    settings = load_settings(context["config"], data=context["data"])
    if not has_store(settings):
        raise BadInput(
            f"{settings.data}: no data folder here; name one with --data", code="not_found"
        )
    with Kit(settings) as kit:
        found = gaps_of(kit.notes(), load_pack(settings.policy))
    if as_json:
        print(json.dumps([plain(gap) for gap in found], indent=2, ensure_ascii=False))
        return 0
    if not found:
        print("no gaps: every call that was searched for has an article, or none was searched")
    for gap in found:
        terms = ", ".join(f"{term} ({count})" for term, count in gap.terms)
        print(
            f"{gap.request_type}: {gap.calls} of {gap.searched} calls without an article; {terms}"
        )
    return 0


def index_articles(context: Context) -> int:
    with opened(context) as (settings, _, library):
        embedder = build_embedder(settings.embedder)
        if embedder is None:
            raise Misconfigured(
                "no embedder is set, and words need no index; see `embedder` in docs/reference.md",
                code="misconfigured",
            )
        library.drop_vectors()
        articles = library.usable(date.today())
        for audience in ("agent", "customer"):
            for locale in sorted({article.locale for article in articles}):
                open_knowledge(articles, library, load_pack(settings.policy), embedder).search(
                    ["index"], audience=audience, locale=locale
                )
    print(f"{len(articles)} articles indexed by {embedder.made_by}")
    return 0


def _read(folder: Path) -> tuple[list[ReadArticle], list[Fault]]:
    if folder.is_dir():
        read, faults = read_folder(folder)
        if not read and not faults:
            raise BadInput(f"{folder}: no article (*.md) in it", code="not_found")
        return read, faults
    if not folder.is_file():
        raise BadInput(f"{folder}: no such folder or file", code="not_found")
    try:
        return [read_article(folder)], []
    except Refused as refused:
        return [], list(refused.faults)


def _warn(article: Article) -> None:
    days = expires_in(article, date.today())
    if days > WARN_DAYS:
        return
    state = "is out of date" if days < 0 else f"goes out of date in {days} days"
    code = "article_expired" if days < 0 else "article_expires"
    print(
        f"warning: {article.id} version {article.version} {state}; {article.owner} reviews it "
        f"({code})",
        file=sys.stderr,
    )


def _brief(article: Article) -> dict[str, Any]:
    return {
        "article": article.id,
        "version": article.version,
        "title": article.title,
        "owner": article.owner,
        "audience": list(article.audience),
        "locale": article.locale,
        "reviewed_until": article.reviewed_until.isoformat(),
    }
