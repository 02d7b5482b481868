"""Reads an article: markdown with a strict front matter.

Decides what an article is and where each mistake stands (FILE:LINE). Refuses unknown keys, HTML,
control characters, binaries and anything too long: article text is shown to people and quoted in
drafts, so it is data and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictInt

from voice_pipeline.policy.source import Fault, Refused, parse, validated

Audience = Literal["agent", "customer"]

MAX_BYTES = 200_000  # an article that long is a manual: nobody reads it during a call
MAX_HEADER = 4_000  # characters of front matter
PASSAGE_WORDS = 80  # what fits on a card beside a call; longer paragraphs are cut at sentences

_FENCE = "---"
_ID = r"[a-z0-9]+(-[a-z0-9]+){0,15}"
_LOCALE = r"[a-z]{2}(-[A-Z]{2})?"
_HTML = re.compile(r"<(?!https?://)[A-Za-z/!?]")
_LINK = re.compile(r"\[([^\]]*)\]\(([^)]*)\)|<(https?://[^>]*)>")
_SAFE_LINK = re.compile(r"\s*(https?://|mailto:|#|[\w./-]+$)", re.IGNORECASE)
_HEADING = re.compile(r"#{1,6}\s+(.*?)\s*#*$")
_BULLET = re.compile(r"(?:[-*+]|\d+[.)])\s+")
_EMPHASIS = re.compile(r"(\*{1,3}|_{1,3}|`+)(?=\S)(.+?)(?<=\S)\1")
_SENTENCE = re.compile(r"(?<=[.?!])\s+")


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _day(value: Any) -> Any:
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise ValueError("is a day of the calendar, for example 2027-03-31")


Line = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^\S(.*\S)?$")]


class FrontMatter(BaseModel):
    """What stands between the two lines of `---`; every other key is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(pattern=f"^{_ID}$", max_length=64)]
    title: Line
    owner: Line
    audience: Annotated[tuple[Audience, ...], BeforeValidator(_listed), Field(min_length=1)]
    # what its author says of it; only a named approver makes an article usable
    status: Literal["draft", "approved"]
    reviewed_until: Annotated[date, BeforeValidator(_day)]
    version: Annotated[StrictInt, Field(ge=1, le=1_000_000)]
    locale: Annotated[str, Field(pattern=f"^{_LOCALE}$")]


@dataclass(frozen=True, slots=True)
class Article:
    """One version of an article; a change is another version, never an edit."""

    id: str
    version: int
    title: str
    owner: str  # who keeps it true
    audience: tuple[Audience, ...]  # who may read it
    locale: str  # ISO 639-1 with an optional region: en, en-GB
    reviewed_until: date  # the last day on which it may be used
    body: str  # markdown, `\n` line ends

    @property
    def sha256(self) -> str:
        """The hash that citations carry: all but its author's own status."""
        content = [
            self.id, self.version, self.title, self.owner, sorted(self.audience), self.locale,
            self.reviewed_until.isoformat(), self.body,
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of an article that can be cited by itself, as plain text."""

    heading: str  # of its section; empty before the first
    text: str


@dataclass(frozen=True, slots=True)
class ReadArticle:
    """An article with where it was read and what its author claims."""

    article: Article
    path: Path
    says_approved: bool
    lines: dict[str, int]  # of each front matter key

    def fault(self, message: str, key: str = "id") -> Fault:
        return Fault(self.path, self.lines.get(key, 1), message)


def read_article(path: Path) -> ReadArticle:
    """Read one markdown file.

    Raises:
        Refused: with every fault found, each with file and line.
    """
    text = _text(path)
    if not text.startswith(_FENCE + "\n"):
        raise Refused([Fault(path, 1, "does not begin with front matter: a line of ---")])
    header, closed, rest = text[len(_FENCE) + 1 :].partition(f"\n{_FENCE}\n")
    if not closed:
        header, closed, rest = text[len(_FENCE) + 1 :].partition(f"\n{_FENCE}")
        if not closed or rest.strip():
            raise Refused([Fault(path, 1, "front matter has no end: a second line of ---")])
    if len(header) > MAX_HEADER:
        raise Refused([Fault(path, 1, f"front matter is longer than {MAX_HEADER} characters")])
    body_from = header.count("\n") + 4
    faults: list[Fault] = []
    front, lines = None, {}
    try:
        source = parse(path, "\n" + header)  # so that lines count from the top of the file
        if not isinstance(source.data, dict):
            raise Refused([Fault(path, 2, "front matter is not a list of `key: value`")])
        lines = {key: source.line((key,)) for key in source.data}
        front = validated(source, FrontMatter, source.data)
    except Refused as refused:
        faults += refused.faults
    body = rest.strip("\n")
    faults += [Fault(path, body_from + at, what) for at, what in _body_faults(rest)]
    if not body.strip():
        faults.append(Fault(path, body_from, "has no text below the front matter"))
    if faults or front is None:
        raise Refused(faults)
    article = Article(
        front.id, front.version, front.title, front.owner,
        tuple(sorted(set(front.audience))), front.locale, front.reviewed_until, body,
    )  # fmt: skip
    if not passages(article):
        raise Refused([Fault(path, body_from, "has headings and no text below them")])
    return ReadArticle(article, path, front.status == "approved", lines)


def read_folder(folder: Path) -> tuple[list[ReadArticle], list[Fault]]:
    """Read every `*.md` below a folder, but for README files.

    Of two files with the same id and version neither is returned: nobody can say which is meant.
    """
    found: list[ReadArticle] = []
    faults: list[Fault] = []
    for path in sorted(folder.rglob("*.md")):
        if path.stem.lower() == "readme" or not path.is_file():
            continue
        try:
            found.append(read_article(path))
        except Refused as refused:
            faults += refused.faults
    named: dict[tuple[str, int], list[ReadArticle]] = {}
    for read in found:
        named.setdefault((read.article.id, read.article.version), []).append(read)
    for (name, version), same in named.items():
        if len(same) > 1:
            others = ", ".join(sorted({read.path.name for read in same}))
            faults += [
                read.fault(f"{name} version {version} stands in several files: {others}")
                for read in same
            ]
    return [same[0] for same in named.values() if len(same) == 1], faults


def passages(article: Article) -> tuple[Passage, ...]:
    """Cut an article into what can be cited: paragraphs and lists, as plain text."""
    found: list[Passage] = []
    heading = ""
    for block in re.split(r"\n\s*\n", article.body):
        lines = [line.strip() for line in block.splitlines() if line.strip()]
        while lines and (title := _HEADING.match(lines[0])):
            heading = _plain(title[1])
            lines = lines[1:]
        text = " ".join(_joined(lines))
        found.extend(Passage(heading, piece) for piece in _pieces(text))
    return tuple(found)


def expires_in(article: Article, today: date) -> int:
    """Return the days for which an article may still be used; negative once it is out of date."""
    return (article.reviewed_until - today).days


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise Refused([Fault(path, 1, f"is larger than {MAX_BYTES} bytes; split it")])
        raw = path.read_bytes()
        text = raw.decode("utf-8-sig")
    except OSError as error:
        raise Refused([Fault(path, 1, f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError:
        raise Refused([Fault(path, 1, "is not UTF-8 text")]) from None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    for at, line in enumerate(text.split("\n"), 1):
        if any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co") and c != "\t" for c in line):
            raise Refused(
                [Fault(path, at, "holds a control or invisible character; type the line anew")]
            )
    return unicodedata.normalize("NFC", text)


def _body_faults(body: str) -> Iterator[tuple[int, str]]:
    """Yield (line below the front matter, what is wrong)."""
    for at, line in enumerate(body.split("\n")):
        if _HTML.search(line):
            yield at, "holds HTML; articles are plain markdown"
        if any(not _SAFE_LINK.match(found[2] or found[3] or "") for found in _LINK.finditer(line)):
            yield at, "holds a link that is neither a web page nor an e-mail address"


def _plain(text: str) -> str:
    """Return markdown as the words that a reader sees."""
    text = _LINK.sub(lambda found: found[1] or found[3] or "", text.replace("![", "["))
    return _EMPHASIS.sub(r"\2", text).strip()


def _joined(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines of a block; items of a list become sentences."""
    items: list[str] = []
    for line in lines:
        bullet = _BULLET.match(line)
        text = _plain(line[bullet.end() :] if bullet else line.lstrip("> "))
        if bullet or not items:
            items.append(text)
        else:
            items[-1] = f"{items[-1]} {text}"
    last = len(items) - 1
    for at, item in enumerate(items):
        yield item if at == last or item.endswith((".", "?", "!", ":", ";", ",")) else f"{item}."


def _pieces(text: str) -> Iterator[str]:
    piece: list[str] = []
    for sentence in _SENTENCE.split(text):
        words = sentence.split()
        for at in range(0, len(words), PASSAGE_WORDS):
            part = words[at : at + PASSAGE_WORDS]
            if piece and len(piece) + len(part) > PASSAGE_WORDS:
                yield " ".join(piece)
                piece = []
            piece += part
    if piece:
        yield " ".join(piece)
