"""Search: what may not be found is never found, and both engines agree."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from articles import TODAY, article, write
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_pipeline.errors import Misconfigured
from voice_pipeline.knowledge.article import read_folder
from voice_pipeline.knowledge.index import Index, Knowledge, fingerprint, speaks
from voice_pipeline.knowledge.lexical import Document, FtsIndex, PythonIndex, has_fts5
from voice_pipeline.knowledge.library import Library
from voice_pipeline.knowledge.shelf import open_knowledge
from voice_pipeline.knowledge.terms import stem, terms
from voice_pipeline.metrics import knowledge as suite
from voice_pipeline.policy.load import load_pack
from voice_pipeline.ports import Vectors, unit_rows
from voice_pipeline.store import Store

SAMPLES = Path(__file__).parents[1] / "samples"
WORDS = ("refund", "parcel", "router", "claim", "branch", "invoice", "card", "address")


class Letters:
    """An embedder of letter counts: small, exact, and enough to tell texts apart."""

    name = "letters"

    def __init__(self, dimension: int = 26) -> None:
        self.dimension = dimension

    @property
    def made_by(self) -> str:
        return f"letters {self.dimension}"

    def embed(self, texts: Sequence[str]) -> Vectors:
        rows = np.zeros((len(texts), self.dimension), np.float32)
        for row, text in enumerate(texts):
            for letter in text.lower():
                if letter.isascii() and letter.isalpha():
                    rows[row, (ord(letter) - 97) % self.dimension] += 1
        return unit_rows(rows)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(WORDS),
            st.sampled_from(["proposed", "approved", "retired"]),
            st.sampled_from([("agent",), ("customer",), ("agent", "customer")]),
            st.sampled_from(["en", "en-GB", "de"]),
            st.integers(-3, 3),
        ),
        max_size=8,
    ),
    st.sampled_from(["agent", "customer"]),
    st.sampled_from(["en", "en-GB", "en-US", "de"]),
    st.booleans(),
)
def test_only_what_may_be_read_is_found(
    tmp_path_factory: pytest.TempPathFactory,
    kept: list[tuple[str, str, tuple[str, ...], str, int]],
    reader: str,
    locale: str,
    by_vectors: bool,
) -> None:
    """Approved, in date, for this reader, in this language: whatever is asked, nothing else."""
    folder = tmp_path_factory.mktemp("library")
    for number, (word, _, audience, language, days) in enumerate(kept):
        write(
            folder / "in", f"{number}.md", id=f"{word}-{number}", title=f"About your {word}",
            body=f"All about a {word} and how it is done.", audience=list(audience),
            locale=language, reviewed_until=TODAY + timedelta(days=days),
        )  # fmt: skip
    store = Store(folder / "data")
    library = Library(store.database)
    earlier = TODAY - timedelta(days=10)
    library.bring(read_folder(folder / "in")[0], by="Sam", today=earlier)
    allowed = set()
    for number, (word, state, audience, language, days) in enumerate(kept):
        name = f"{word}-{number}"
        if state != "proposed":
            library.approve(name, by="Li Wei", why="checked", today=earlier)
        if state == "retired":
            library.retire(name, by="Li Wei", why="untrue")
        if state == "approved" and days >= 0 and reader in audience and speaks(language, locale):
            allowed.add(name)
    embedder = Letters() if by_vectors else None
    knowledge = Knowledge(library.usable(TODAY), embedder=embedder)
    found = {
        hit.article.id
        for word in WORDS
        for hit in knowledge.search([f"about your {word}"], audience=reader, locale=locale, limit=9)  # type: ignore[arg-type]
    }
    store.close()
    assert found <= allowed
    assert by_vectors or found == allowed


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from("abcde"), max_size=3),
            st.lists(st.sampled_from("abcdefgh"), max_size=12),
        ),
        min_size=1,
        max_size=8,
    ),
    st.lists(st.sampled_from("abcdefghxyz"), max_size=5),
)
def test_fts5_and_python_agree(
    documents: list[tuple[list[str], list[str]]], wanted: list[str]
) -> None:
    """A Python whose SQLite lacks FTS5 finds the same, in the same order."""
    assert has_fts5()
    built = [Document(tuple(title), tuple(text)) for title, text in documents]
    one, other = FtsIndex(built).scores(wanted), PythonIndex(built).scores(wanted)
    assert one.keys() == other.keys()
    assert all(one[at] == pytest.approx(other[at], rel=1e-9, abs=1e-9) for at in one)


@pytest.mark.parametrize(
    "query", ['"', "refund OR 1", "NEAR(a b)", "title:refund", "*", "a" * 100_000, "\x00", "𝔯efund"]
)
def test_a_query_is_words_and_nothing_else(query: str) -> None:
    """Signs of the search language are searched for, not obeyed."""
    Knowledge([article()]).search([query], audience="agent", locale="en")


def test_a_single_article_can_be_found() -> None:
    """Also where it is the only one, and every word of it stands in all articles there are."""
    (hit,) = Knowledge([article()]).search(["the refund"], audience="agent", locale="en")
    assert hit.article.id == "refund-times"
    assert 0 < hit.score < 1


def test_what_nothing_answers_is_no_article() -> None:
    """A word that no article has finds none, and neither does silence."""
    knowledge = Knowledge([article()])
    assert knowledge.search(["mortgage rates in japan"], audience="agent", locale="en") == []
    assert knowledge.search(["", "  "], audience="agent", locale="en") == []
    assert Knowledge([]).search(["refund"], audience="agent", locale="en") == []


@pytest.mark.parametrize("embedder", [None, Letters()])
def test_a_code_pulls_its_article_in(embedder: Letters | None) -> None:
    """`e104` stands in one article alone: it comes first, whatever else is alike."""
    others = [article(f"other-{n}", "The box shows an error code here.") for n in range(5)]
    one = article("error-e104", "Code E104 means that the filter is full.", title="Error E104")
    knowledge = Knowledge([*others, one], embedder=embedder)
    hit, *_ = knowledge.search(["the box shows error code e104"], audience="agent", locale="en")
    assert (hit.article.id, hit.why) == ("error-e104", "exact")


def test_the_passage_that_answers_is_cited() -> None:
    """Of an article with several, the one with the words that were asked for."""
    body = "## Cards\n\nMoney goes back to the card.\n\n## Vouchers\n\nVouchers are sent again."
    (hit,) = Knowledge([article(body=body)]).search(
        ["refund of vouchers"], audience="agent", locale="en"
    )
    assert hit.passage.heading == "Vouchers"


def test_vectors_of_another_model_are_refused() -> None:
    """Two models are never in one search."""
    with pytest.raises(Misconfigured) as refused:
        Index([article()], embedder=Letters(26), vectors_of=lambda _: Letters(13).embed(["x"]))
    assert refused.value.code == "embedding_mismatch"


def test_kept_vectors_are_used_again(tmp_path: Path) -> None:
    """An article is embedded once a model; the second opening asks for the question alone."""
    store = Store(tmp_path)
    library = Library(store.database)
    asked: list[str] = []

    class Counted(Letters):
        def embed(self, texts: Sequence[str]) -> Vectors:
            asked.extend(texts)
            return super().embed(texts)

    for _ in range(2):
        open_knowledge([article()], library, load_pack(), Counted()).search(
            ["refund"], audience="agent", locale="en"
        )
    store.close()
    assert asked == ["How long a refund takes. . " + article().body, "refund", "refund"]


def test_the_fingerprint_is_that_of_articles_and_model() -> None:
    """Another text, another version, another model: another plan; another order is none."""
    one, two = article("one"), article("two")
    prints = {
        fingerprint(articles, embedder)
        for articles, embedder in (
            ([one, two], None), ([two, one], None), ([one], None), ([one, two], Letters()),
            ([article("one", "Changed."), two], None),
        )
    }  # fmt: skip
    assert len(prints) == 4


@pytest.mark.parametrize(
    ("article_locale", "wanted", "fits"),
    [("en", "en", True), ("en", "en-GB", True), ("en-GB", "en", True), ("en-GB", "en-US", False),
     ("de", "en", False)],
)  # fmt: skip
def test_which_locale_serves_which(article_locale: str, wanted: str, fits: bool) -> None:
    """A region narrows, a language without one serves all of its regions."""
    assert speaks(article_locale, wanted) is fits


def test_terms_are_stems_without_the_usual() -> None:
    """Inflections meet, placeholders and everyday words are nothing to search by."""
    assert terms("I was charged twice for the parcels, [PERSON_1] said") == [
        "charg", "twic", "parcel",
    ]  # fmt: skip
    assert len({stem(word) for word in ("cancel", "cancelled", "cancelling", "cancels")}) == 1
    assert stem("paid") == stem("pay") == "pay"


def test_the_samples_are_found() -> None:
    """A regression alarm on our own invented questions; docs/knowledge.md has the figures."""
    report = suite.evaluate(SAMPLES / "knowledge")
    figures = {figure.name: figure for figure in report.figures}
    assert figures["recall@1, questions"].n == 50
    assert figures["recall@1, questions"].value > figures["recall@1, plain BM25, questions"].value
    assert figures["recall@1, questions"].value >= 0.5
    assert figures["recall@3, calls"].value >= 0.88
    assert figures["`no article` found, questions"].n == 10


def test_the_sample_questions_are_those_of_the_sample_calls() -> None:
    """The calls in the knowledge truth are the calls of samples/truth.jsonl, word for word."""
    said = {
        record["id"]: [(turn["speaker"], turn["text"]) for turn in record["turns"]]
        for record in map(json.loads, (SAMPLES / "truth.jsonl").read_text().splitlines())
    }
    records = map(json.loads, (SAMPLES / "knowledge" / "truth.jsonl").read_text().splitlines())
    calls = [record for record in records if "turns" in record]
    assert len(calls) == len(said) == 17
    for record in calls:
        turns = [(turn["speaker"], turn["text"]) for turn in record["turns"]]
        assert turns == said[record["id"]]
