"""`knowledge` on the command line, and what a run may use of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import command
import pytest
from articles import BODY, write
from test_engine import Workshop, finish, hand_in, note

from voice_pipeline import domain as d
from voice_pipeline.config import load_settings
from voice_pipeline.kit import Kit
from voice_pipeline.metrics.gaps import gaps_of
from voice_pipeline.pipeline import Stages
from voice_pipeline.policy.load import load_pack
from voice_pipeline.store.tables import calls

WHO = ("--by", "Li Wei", "--why", "checked")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def knowledge(data: Path, *arguments: str | Path) -> Any:
    return command.run("--data", data, "knowledge", *arguments)


def found(data: Path, query: str, *more: str) -> list[str]:
    done = knowledge(data, "search", query, "--json", *more)
    assert done.returncode == 0, done.stderr
    return [row["article"] for row in json.loads(done.stdout)["articles"]]


def test_from_a_folder_to_a_search_and_back(data: Path, tmp_path: Path) -> None:
    """Import, approve, search, mark, retire, undo: the whole life of an article."""
    write(tmp_path / "in")
    assert "1 proposed, 0 approved" in knowledge(data, "import", tmp_path / "in").stdout
    assert found(data, "refund") == []
    assert knowledge(data, "approve", "refund-times", *WHO).returncode == 0
    assert found(data, "refund") == ["refund-times"]
    assert found(data, "refund", "--locale", "de") == []
    assert "marked useful" in knowledge(data, "mark", "refund-times", "useful", "--by", "S").stdout
    (row,) = json.loads(knowledge(data, "list", "--json").stdout)
    assert (row["state"], row["useful"], row["wrong"]) == ("approved", 1, 0)
    assert knowledge(data, "retire", "refund-times", *WHO).returncode == 0
    assert found(data, "refund") == []
    assert knowledge(data, "undo", "refund-times", *WHO).returncode == 0
    shown = json.loads(knowledge(data, "show", "refund-times", "--json").stdout)
    assert [event["event"] for event in shown["history"]] == [
        "imported", "approved", "retired", "undone",
    ]  # fmt: skip
    assert shown["body"] == BODY


def test_bad_articles_are_named_and_good_ones_come_in(data: Path, tmp_path: Path) -> None:
    """One bad file stops none of the rest; exit 3, FILE:LINE on standard error, no traceback."""
    folder = tmp_path / "in"
    write(folder, "good.md")
    write(folder, "bad.md", id="bad", version="x")
    write(folder, "late.md", id="late", reviewed_until="2020-01-01")
    write(folder, "number.md", id="number", body="Our IBAN is GB82 WEST 1234 5698 7654 32.")
    (folder / "picture.md").write_bytes(b"\x89PNG\x00")
    done = knowledge(data, "import", folder)
    assert done.returncode == 3
    assert f"error: {folder / 'bad.md'}:8: version: " in done.stderr
    assert f"error: {folder / 'picture.md'}:1: is not UTF-8 text" in done.stderr
    assert "late version 1 is out of date" in done.stderr
    assert "number: passage 1 reads like IBAN" in done.stderr
    assert "GB82" not in done.stderr
    assert "Traceback" not in done.stderr
    assert "3 proposed" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("import", "no-such-folder"), 3, "no such folder"),
        (("approve", "nothing", *WHO), 3, "unknown_article"),
        (("approve", "nothing"), 2, "--by"),
        (("show", "nothing"), 3, "no such article"),
        (("mark", "nothing", "splendid", "--by", "S"), 2, "splendid"),
        (("mark", "nothing", "useful", "--by", "S", "--call", "x"), 3, "no such call"),
        (("gaps",), 3, "no data folder"),
        (("index",), 4, "no embedder is set"),
    ],
)
def test_what_cannot_be_done_is_said(
    data: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    """One line that says what is wrong and what to do, with the contract's exit code."""
    done = knowledge(data, *arguments)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_analyse_uses_the_articles_of_the_data_folder(data: Path, tmp_path: Path) -> None:
    """A note made from a line of JSON has suggestions and a draft as one from a recording has."""
    line = json.dumps({
        "id": 7,
        "turns": [
            {"speaker": "agent", "text": "hello how can i help"},
            {"speaker": "customer", "text": "hi i would like a refund for my cancelled trip"},
            {"speaker": "agent", "text": "i will send you the refund by friday"},
            {"speaker": "customer", "text": "thank you very much goodbye"},
        ],
    })  # fmt: skip
    write(tmp_path / "in")
    bare = json.loads(command.run("--data", data, "analyse", stdin=line).stdout)["note"]
    assert (bare["suggestions"], bare["no_article"]) == ([], None)
    assert bare["draft"]["status"] == "draft"
    assert not data.exists()
    knowledge(data, "import", tmp_path / "in", "--approved-by", "Li Wei")
    full = json.loads(command.run("--data", data, "analyse", stdin=line).stdout)["note"]
    (suggested,) = full["suggestions"]
    assert set(suggested) == {
        "article", "version", "sha256", "title", "passage", "score", "why",
    }  # fmt: skip
    assert suggested["article"] == "refund-times"
    assert set(bare) == set(full)


def test_evaluate_knowledge_says_what_it_measured(tmp_path: Path) -> None:
    """Figures with n and intervals beside plain BM25; broken truth is named by line."""
    write(tmp_path / "articles")
    truth = tmp_path / "truth.jsonl"
    truth.write_text(
        '{"id": 1, "text": "when is my refund here", "article": "refund-times"}\n'
        '{"id": 2, "text": "mortgage rates", "article": null}\n'
    )
    done = command.run("evaluate", "knowledge", "--data", tmp_path, "--json")
    figures = {figure["name"]: figure for figure in json.loads(done.stdout)["figures"]}
    assert figures["recall@1, questions"]["value"] == 1
    assert figures["recall@1, questions"]["n"] == 1
    assert figures["`no article` found, questions"]["n"] == 1
    assert "recall@1, plain BM25, questions" in figures
    truth.write_text('{"id": 1, "text": "x", "article": "unknown"}\n')
    done = command.run("evaluate", "knowledge", "--data", tmp_path)
    assert done.returncode == 3
    assert "truth.jsonl:1: no such article" in done.stderr


class Quick(Kit):
    """A kit whose calls end at once, each with a question that no article answers."""

    def stages(self, plan: str) -> Stages:
        def asked(_text: Any, judged: d.CaseNote) -> d.CaseNote:
            return replace(judged, no_article=d.NoArticle(("refund", "horse")))

        made = Workshop().stages(plan)
        return replace(made, draft=replace(made.draft, do=asked))


def test_an_erased_call_leaves_the_gap_report(data: Path) -> None:
    """Gaps are read from sealed notes: with a call's key its words are gone from the report."""
    with Quick(load_settings(None, data=data)) as kit:
        for call in ("c1", "c2"):
            finish(kit.engine, kit.engine.start(hand_in(kit.store, call), "p"))
        (gap,) = gaps_of(kit.notes(), load_pack())
        assert gap.calls == 2
        assert ("horse", 2) in gap.terms
        with kit.store.database.begin() as db:
            db.execute(calls.update().where(calls.c.call == "c1").values(wrapped_key=None))
        kit.store._keys.clear()
        (gap,) = gaps_of(kit.notes(), load_pack())
        assert gap.calls == 1
        assert gap.terms == (("refund", 1),)


def test_a_plan_pins_the_articles_of_its_day(data: Path, tmp_path: Path) -> None:
    """Another approval is another plan; a running one keeps its versions but what was retired."""
    with Kit(load_settings(None, data=data)) as kit:
        empty = kit.plan()
        write(tmp_path / "in")
        knowledge(data, "import", tmp_path / "in", "--approved-by", "Li Wei")
        first = kit.plan()
        assert first != empty
        assert first == kit.plan()
        write(tmp_path / "in", version=2, body="Three days.")
        knowledge(data, "import", tmp_path / "in", "--approved-by", "Li Wei")
        assert kit.plan() != first
        pack = load_pack()
        old = kit._assembly._knowledge(kit.store.plan(first), pack)
        assert [article.version for article in old.articles] == [1]
        assert not kit._assembly._knowledge(kit.store.plan(empty), pack)
        knowledge(data, "retire", "refund-times", *WHO)
        assert not kit._assembly._knowledge(kit.store.plan(kit.plan()), pack)


def test_no_gap_without_a_search() -> None:
    """A data folder without articles has no gaps: nothing was searched."""
    assert gaps_of([note("c")], load_pack()) == []
