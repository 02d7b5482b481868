"""Articles: what one is, and where each mistake in its file stands."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from articles import BODY, HEADER, article, text_of, write
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_pipeline.knowledge.article import (
    MAX_BYTES,
    PASSAGE_WORDS,
    passages,
    read_article,
    read_folder,
)
from voice_pipeline.policy.source import Refused

SAMPLES = Path(__file__).parents[1] / "samples" / "knowledge"


def faults(path: Path) -> str:
    with pytest.raises(Refused) as refused:
        read_article(path)
    return "\n".join(str(fault) for fault in refused.value.faults)


def test_an_article_is_read_with_its_front_matter(tmp_path: Path) -> None:
    """Every key arrives, and the hash is of what it says, not of how its author marks it."""
    read = read_article(write(tmp_path))
    assert read.article == article()
    assert read.says_approved
    again = read_article(write(tmp_path, status="draft"))
    assert not again.says_approved
    assert again.article.sha256 == read.article.sha256
    assert read_article(write(tmp_path, version=2)).article.sha256 != read.article.sha256


@pytest.mark.parametrize(
    ("changed", "line", "says"),
    [
        ({"keywords": "money"}, 10, "unknown key"),
        ({"title": None}, 2, "title: is missing"),
        ({"id": "Refund Times"}, 2, "id: "),
        ({"id": "../../etc"}, 2, "id: "),
        ({"audience": "everybody"}, 5, "audience"),
        ({"audience": "[]"}, 5, "audience"),
        ({"status": "retired"}, 6, "status: "),
        ({"reviewed_until": "31.03.2027"}, 7, "is a day of the calendar"),
        ({"reviewed_until": "2027-02-30"}, 7, "is a day of the calendar"),
        ({"reviewed_until": "20270331"}, 7, "is a day of the calendar"),
        ({"version": "one"}, 8, "version: "),
        ({"version": 0}, 8, "version: "),
        ({"version": "1.5"}, 8, "version: "),
        ({"version": ".inf"}, 8, "version: "),
        ({"version": "190:20:30.15"}, 8, "version: "),
        ({"locale": "english"}, 9, "locale: "),
        ({"title": "[" * 900}, 3, ""),
        ({"title": "*alias"}, 3, ""),
        ({"title": "!!python/object/apply:os.system ['true']"}, 3, ""),
    ],
)
def test_a_mistake_in_the_front_matter_is_named_by_line(
    tmp_path: Path, changed: dict[str, object], line: int, says: str
) -> None:
    """Whoever wrote it finds the place: FILE:LINE: what is wrong."""
    path = write(tmp_path, **changed)
    said = faults(path)
    assert f"{path}:{line}:" in said or line == 3
    assert says in said


def test_a_key_that_is_set_twice_is_a_mistake(tmp_path: Path) -> None:
    """Of two owners nobody knows which is meant."""
    path = tmp_path / "a.md"
    path.write_text(text_of().replace("owner: Ana Ruiz", "owner: Ana Ruiz\nowner: Li Wei"))
    assert f"{path}:5: owner is set twice" in faults(path)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("", "has no text"),
        ("  \n\n ", "has no text"),
        ("# Only a heading", "no text below"),
        ("fine\n\n<script>alert(1)</script>", ":13: holds HTML"),
        ("an <img src=x onerror=alert(1)>", ":11: holds HTML"),
        ("<!-- hidden -->", "holds HTML"),
        ("[here](javascript:alert(1))", "holds a link"),
        ("[here](data:text/html;base64,PHNjcmlwdD4=)", "holds a link"),
        ("turned \u202e round", "control or invisible"),
        ("nothing\x00here", "control or invisible"),
        ("zero\u200bwidth", "control or invisible"),
    ],
)
def test_a_body_is_plain_markdown(tmp_path: Path, body: str, says: str) -> None:
    """No HTML, no script, no hidden text: an article is shown to people and quoted in letters."""
    assert says in faults(write(tmp_path, body=body))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "front matter"),
        (b"no front matter at all", "front matter"),
        (b"---\nid: x\n", "has no end"),
        (b"---\n- a list\n---\nbody\n", "`key: value`"),
        (b"---\njust words\n---\nbody\n", "`key: value`"),
        (b"---\n---\nbody\n", ""),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "not UTF-8"),
        (b"\xff\xfe-\x00-\x00", "not UTF-8"),
        (b"---\n" + b"x: " + b"y" * 5000 + b"\n---\nbody\n", "longer than"),
        (b"---\n" + b"[" * 3900 + b"\n---\nbody\n", "nested too deeply"),
        (b"a" * (MAX_BYTES + 1), "larger than"),
    ],
)
def test_what_is_no_article_is_refused(tmp_path: Path, data: bytes, says: str) -> None:
    """Binaries, broken and endless files are mistakes of the file, never crashes."""
    path = tmp_path / "a.md"
    path.write_bytes(data)
    assert says in faults(path)


def test_byte_order_mark_and_line_ends_do_not_matter(tmp_path: Path) -> None:
    """The same article saved on another system has the same hash."""
    path = write(tmp_path)
    plain = read_article(path).article
    path.write_bytes(b"\xef\xbb\xbf" + text_of().replace("\n", "\r\n").encode())
    assert read_article(path).article == plain


def test_two_files_with_one_id_and_version_are_both_refused(tmp_path: Path) -> None:
    """Nobody can say which of them is meant; another version of it is fine."""
    write(tmp_path, "a.md")
    write(tmp_path, "b.md", body="Something else.")
    write(tmp_path / "deeper", "c.md", version=2)
    write(tmp_path, "README.md", id="readme")
    read, found = read_folder(tmp_path)
    assert [one.article.version for one in read] == [2]
    assert len(found) == 2
    assert all("a.md, b.md" in str(fault) for fault in found)


def test_passages_are_paragraphs_in_plain_words() -> None:
    """A passage can be read by itself: headings apart, lists as sentences, no markup."""
    body = (
        "# Money\n\nA **refund** takes _five_ days; see [the page](https://example.com).\n\n"
        "## What we need\n- the order number\n- a receipt,\n  if there is one\n\n> quoted"
    )
    found = [(p.heading, p.text) for p in passages(article(body=body))]
    assert found == [
        ("Money", "A refund takes five days; see the page."),
        ("What we need", "the order number. a receipt, if there is one"),
        ("What we need", "quoted"),
    ]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("ab .?!\n#*-_", max_size=300), max_size=6))
def test_no_passage_is_longer_than_a_card(parts: list[str]) -> None:
    """However long a paragraph is, what is shown beside a call fits."""
    for passage in passages(article(body="\n\n".join(parts))):
        assert 0 < len(passage.text.split()) <= PASSAGE_WORDS


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=400), st.sampled_from([*HEADER, "new"]))
def test_any_text_is_an_article_or_a_named_fault(
    tmp_path_factory: pytest.TempPathFactory, text: str, key: str
) -> None:
    """Whatever somebody puts into a file: an article or FILE:LINE, never a crash."""
    path = tmp_path_factory.getbasetemp() / "any.md"
    for content in (text, text_of(**{key: text}), text_of(body=text)):
        path.write_bytes(content.encode("utf-8", "surrogatepass"))
        try:
            read_article(path)
        except Refused as refused:
            assert all(str(fault).startswith(f"{path}:") for fault in refused.faults)


def test_the_sample_articles_hold() -> None:
    """Those that we ship load without a fault, and stay in date for the demo."""
    read, found = read_folder(SAMPLES / "articles")
    assert not found
    assert len(read) == 23
    assert all(one.article.reviewed_until > date(2027, 1, 1) for one in read)
    assert BODY not in {one.article.body for one in read}
