"""Words to atoms: the one table that every recognizer reads, and the only place that normalises.

An atom is the smallest piece that means something ("forty-two" is two atoms, "4111-1111" too) and
remembers its word. Text is never rewritten: findings always point back at words. Refuses nothing:
control characters, zero-width marks, full-width digits and emoji are read through.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

from redaction.records import Turn, Word

WORD, DIGITS, ORDINAL, TIME, AMOUNT, EMAIL, URL, IP = (
    "word", "digits", "ordinal", "time", "amount", "email", "url", "ip",
)  # fmt: skip

_PIECE = re.compile(
    r"""
    (?P<email>[\w.+'%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8})
   |(?P<url>(?:https?://|www\.)[^\s<>"]{1,500}
      |[a-z0-9][a-z0-9-]{0,62}(?:\.[a-z0-9-]{1,63}){0,4}\.(?:com|org|net|co\.uk|io|gov|edu|info|biz|help|app|dev|me|shop|site|online|link)
       (?:/[^\s<>"]{0,400})?(?![\w@]))
   |(?P<ip>(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.]*\d))
   |(?P<amount>[$£€]\ ?\d{1,12}(?!\d)(?:,\d{3}){0,3}(?:\.\d{1,4})?(?!,?\d)
      |(?<![\d,])\d{1,3}(?:,\d{3}){1,3}(?:\.\d{1,4})?(?![\d,])
      |(?<![\d.])\d{1,9}\.\d{1,2}(?![\d.]|\w)|(?<![\d.])\d{1,9}(?:\.\d{1,4})?\ ?%(?!\w))
   |(?P<time>(?<!\d)(?:[01]?\d|2[0-4]):[0-5]\d(?::\d{2})?(?:[ap]\.?m\b)?(?!\d)
      |(?<!\d)\d{1,2}[ap]\.?m\b)
   |(?P<ordinal>(?<!\d)\d{1,2}(?:st|nd|rd|th)\b)
   |(?P<digits>\d+)
   |(?P<word>[^\W\d_]+(?:['’][^\W\d_]+)*|@)
    """,
    re.VERBOSE,
)
MAX_KNOWN = 20_000  # spellings of pack words that are remembered
SHORTEST_PAIR = 6  # letters of two number words
Pieces = dict[str, list[tuple[str, str, bool, str]]]  # word -> text, kind, glued, capitals

_ENTITY = re.compile(r"&(?:[a-z]{2,8}|#\d{1,6}|#x[0-9a-f]{1,6});", re.IGNORECASE)
_TAG = re.compile(r"<?/?(?:br|b|i|u|p|em|strong|span|div|td|tr|li)/?>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words of a language pack. What a call says beyond them is forgotten with the call."""

    words: frozenset[str]  # public words, no names
    spoken: re.Pattern[str] | None  # any number word; a word made of several ("fourone") is split
    known: Pieces = field(default_factory=dict)  # pieces of `words` met before, in any call


NO_WORDS = Vocabulary(frozenset(), None)
_SPLIT = re.compile(r"\S+")
_SOFT = re.compile(r"(?<=\D)[:;=,|<>\"](?=\S)|[;=|<>\"](?=\S)|(?<=[^\s\d/]),(?=\S)")


@dataclass(slots=True)
class Atom:
    """One normalised piece of one word."""

    text: str  # NFKC, lower case, curly quotes made straight
    kind: str
    word: int  # index of its word in the turn
    glued: bool  # no gap to the atom before ("3b", "AB12")
    capital: bool  # written with a capital first letter
    stop: bool  # the word ends a sentence behind this atom
    comma: bool = False  # a comma, dash or colon follows
    upper: bool = False  # written in capitals, two letters or more


def tokenize(text: str) -> list[tuple[str, int, int]]:
    """Split plain text into words.

    Args:
        text: any text; whitespace separates words, and so do `;:=,|<>"` inside a word that is no
            number.

    Returns:
        (word, start, end) with code point offsets into `text`, end exclusive.
    """
    if not _SOFT.search(text):
        return [(match.group(), match.start(), match.end()) for match in _SPLIT.finditer(text)]
    found: list[tuple[str, int, int]] = []
    for match in _SPLIT.finditer(text):
        start, chunk = match.start(), match.group()
        if "://" in chunk or not _SOFT.search(chunk):
            found.append((chunk, start, match.end()))
            continue
        position = 0
        for cut in _SOFT.finditer(chunk):
            if cut.end() > position:
                found.append((chunk[position : cut.end()], start + position, start + cut.end()))
                position = cut.end()
        if position < len(chunk):
            found.append((chunk[position:], start + position, match.end()))
    return found


def _words(text: str) -> list[str]:
    return [word for word, _, _ in tokenize(text)] if _SOFT.search(text) else text.split()


def turns_of(items: Sequence[tuple[str, str]]) -> tuple[Turn, ...]:
    """Make untimed turns of (speaker, text) pairs."""
    made: dict[str, Word] = {}
    turns = []
    for speaker, text in items:
        words = []
        for word in _words(text):
            if word not in made:
                made[word] = Word(word, None, None)
            words.append(made[word])
        turns.append(Turn(speaker, tuple(words)))
    return tuple(turns)


def normalise(text: str) -> str:
    """Return text as recognizers read it: NFKC, marks and controls dropped, digits ASCII."""
    if text.isascii() and text.isprintable():
        return text
    kept = []
    for char in unicodedata.normalize("NFKC", text):
        category = unicodedata.category(char)
        if category in ("Cf", "Cc", "Me", "Mn"):
            continue
        if category == "Nd":
            kept.append(str(unicodedata.digit(char)))
        elif category == "No" and (value := unicodedata.numeric(char)).is_integer():
            kept.append(str(int(value)))  # digits in circles that NFKC leaves alone
        elif category == "Pd":
            kept.append("-")
        else:
            kept.append("'" if char in "’‘ʼ´`" else char)
    return "".join(kept)


def atoms_of(
    words: Sequence[Word], seen: Pieces, vocabulary: Vocabulary | None = None
) -> list[Atom]:
    """Return the atoms of one turn.

    Args:
        words: the words of the turn.
        seen: pieces of words met before in this call; filled here, thrown away with the call.
        vocabulary: the words of a language.
    """
    atoms: list[Atom] = []
    vocabulary = vocabulary or NO_WORDS
    known = vocabulary.known
    for index, word in enumerate(words):
        raw = word.text
        pieces = seen.get(raw)
        if pieces is None:
            pieces = seen[raw] = known.get(raw) or _pieces(raw, vocabulary)
        if not pieces:
            continue
        for text, kind, glued, capital in pieces:
            atoms.append(
                Atom(text, kind, index, glued, capital != "", False, False, capital == "A")
            )
        end = raw[-1]
        if end in ".?!":
            initial = end == "." and len(raw) == 2 and raw[0].isupper()  # "R. J. Featherby"
            atoms[-1].stop = not initial
        elif end in ",;:-–—":
            atoms[-1].comma = True
    return atoms


def _pieces(raw: str, vocabulary: Vocabulary) -> list[tuple[str, str, bool, str]]:
    numbers = vocabulary.spoken
    bare = raw.rstrip(".,?!")
    if bare.isalpha() and bare.isascii():  # most words: nothing to take apart
        lowered = bare.lower()
        if numbers is None or len(lowered) < SHORTEST_PAIR or not numbers.match(lowered):
            capital = "a" if bare[0].isupper() else ""
            if lowered != bare and len(bare) > 1 and bare.isupper():
                capital = "A"
            pieces = [(lowered, WORD, False, capital)]
            if lowered in vocabulary.words and len(vocabulary.known) < MAX_KNOWN:
                vocabulary.known[raw] = pieces
            return pieces
    if "&" in raw or ">" in raw:
        raw = _TAG.sub(" ", _ENTITY.sub(lambda found: html.unescape(found.group()), raw))
    text = normalise(raw)
    lowered = text.lower()
    if len(lowered) != len(text):  # a letter whose lower case is longer: capitals are lost
        text = lowered
    found = []
    last = -1
    for match in _PIECE.finditer(lowered):
        start = match.start()
        piece = match.group()
        kind = str(match.lastgroup)
        if kind in (EMAIL, URL):
            piece = piece.rstrip(".")
        shout = match.end() - start > 1 and text[start : match.end()].isupper()
        capital = "A" if shout else "a" if text[start].isupper() else ""
        if kind == WORD and numbers is not None:
            spoken = numbers.findall(piece)
            if len(spoken) > 1 and sum(map(len, spoken)) == len(piece):
                found += [
                    (word, WORD, start == last or at > 0, "") for at, word in enumerate(spoken)
                ]
                last = match.end()
                continue
        found.append((piece, kind, start == last, capital))
        last = match.end()
    return found
