"""Makes labelled turns out of frames and lists: the training data of the names model.

Decides how frames are filled, cased and damaged. Every eighth frame and every tenth name is held
out, by the hash of its text, so that figures are of templates and names that took no part.
Frames are lines of `people.txt`, `addresses.txt` and `plain.txt`; slots are in `words.txt`,
`places.txt` and below. Names of `redaction/languages/en.yaml` are used too.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from redaction.language import load_language
from redaction.model import BETWEEN, window
from redaction.records import Word
from redaction.tokens import atoms_of, normalise

HERE = Path(__file__).parent
HELD_FRAMES, HELD_NAMES = 8, 10  # one in so many is held out
SHARES = {"people": 0.40, "addresses": 0.16, "plain": 0.44}
TITLES = ("mister", "mr", "mrs", "missus", "miss", "ms", "doctor", "dr", "professor", "sir",
          "madam", "reverend", "captain", "sergeant")  # fmt: skip
WORDS = ("seven", "for", "apple", "sugar", "mother", "bravo", "delta", "echo", "tango", "victor",
         "november", "nobody", "orange", "lemon", "zebra", "queen", "king", "yellow")  # fmt: skip
PARTS = ("van", "van der", "de", "de la", "von", "al", "el", "bin", "di", "da", "dos", "le", "st",
         "ter", "abu", "ibn", "ap", "ni", "mac", "san")  # fmt: skip
DIGIT = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "oh")
TEENS = ("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen",
         "eighteen", "nineteen")  # fmt: skip
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
HEARD = {"their": "there", "there": "their", "you're": "your", "your": "you're", "it's": "its",
         "to": "two", "for": "four", "too": "to", "i'm": "im", "know": "no", "right": "write",
         "here": "hear", "by": "buy", "weight": "wait", "name's": "names", "my": "me", "an": "and",
         "our": "are", "i'll": "all", "we're": "were", "at": "it", "is": "his"}  # fmt: skip
PROPER = {"co", "prod", "city", "month", "day", "nat", "country"}
QUESTION = frozenset("who what where when which why how can could may do does did is are was will "
                     "shall have has whose am".split())  # fmt: skip
_SLOT = re.compile(r"^(\W*)<(\w+)>(.*)$")
_GROUP = re.compile(r"\(([^()]*)\)")

Labelled = tuple[str, str, bool]  # word, label, proper noun


@dataclass(frozen=True, slots=True)
class Example:
    """Tokens as the model sees them, and the label of each."""

    tokens: list[str]
    labels: list[str]  # "" for the turn before: it's there to be read, not judged


def held(text: str, one_in: int) -> bool:
    """Whether a frame or name takes no part in training."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) % one_in == 0


def lines(name: str) -> list[str]:
    """Return the lines of a file beside this one, comments left out."""
    text = (HERE / name).read_text("utf-8")
    return [line.strip() for line in text.splitlines() if line.strip() and line[0] != "#"]


def slots(name: str) -> dict[str, list[str]]:
    """Return slot -> values of a file `slot: value, value`."""
    pairs = (line.partition(":") for line in lines(name))
    return {slot: [value.strip() for value in rest.split(",")] for slot, _, rest in pairs}


class Generator:
    """An endless source of examples, the same for the same seed."""

    def __init__(self, seed: int, *, dev: bool) -> None:
        """Prepare it: `dev` takes the held-out frames and names, training all others."""
        self.random = random.Random(seed)
        self.dev = dev
        self.frames = {
            kind: [line for line in lines(f"{kind}.txt") if held(line, HELD_FRAMES) is dev]
            for kind in SHARES
        }
        self.words = slots("words.txt")
        self.places = slots("places.txt")
        pack = load_language("en")
        self.wordlike = sorted(pack.words["word_names"])
        self.swaps = [
            word for word in " ".join(lines("ordinary.txt")).split() if word not in self.wordlike
        ]
        self.ordinary = (
            set(pack.words["common"])
            | set(self.swaps)
            | {word for values in self.words.values() for value in values for word in value.split()}
        )
        self.given = self._names([*pack.words["given"], *" ".join(lines("given.txt")).split()])
        self.family = self._names([*pack.words["surnames"], *" ".join(lines("family.txt")).split()])
        self.last_name = ""
        self.digits = False  # numbers are written in digits

    def _names(self, found: list[str]) -> list[str]:
        plain = sorted({name for name in found if len(name) > 1} - self.ordinary)
        return [name for name in plain if held(name, HELD_NAMES) is self.dev]

    def examples(self, count: int) -> Iterator[Example]:
        """Yield examples."""
        for _ in range(count):
            yield self.example()

    def example(self) -> Example:
        """Return one example: a turn behind the turn before."""
        pick = self.random.random
        cased = pick() < 0.35
        self.digits = cased and pick() < 0.8
        kind = self.random.choices(list(SHARES), list(SHARES.values()))[0]
        before, turn = self._turns(self.random.choice(self.frames[kind]))
        if kind == "plain" or pick() < 0.7:
            turn = self._longer(turn)
        if not before and pick() < 0.65:
            source = self.random.choices(("plain", "people", "addresses"), (0.7, 0.2, 0.1))[0]
            other, more = self._turns(self.random.choice(self.frames[source]))
            before = more if pick() < 0.8 else other
        said = [self._styled(self._noisy(part), cased) for part in (before, turn)]
        return self._example(said[0], said[1])

    def _example(self, before: list[Labelled], turn: list[Labelled]) -> Example:
        atoms = [atoms_of([Word(w, None, None) for w, _, _ in part], {}) for part in (before, turn)]
        shown = window(atoms[0], atoms[1])
        tokens, owners = shown.tokens, [-1] * shown.own + shown.owners
        labels = [turn[atoms[1][owner].word][1] if owner >= 0 else "O" for owner in owners]
        own = tokens.index(BETWEEN)
        return Example(tokens, [""] * own + labels[own:])

    def _turns(self, frame: str) -> tuple[list[Labelled], list[Labelled]]:
        while _GROUP.search(frame):
            frame = _GROUP.sub(lambda m: self.random.choice(m.group(1).split("|")), frame)
        self.last_name = ""
        before, arrow, turn = frame.partition(">>")
        if not arrow:
            before, turn = "", frame
        return self._fill(before), self._fill(turn)

    def _longer(self, turn: list[Labelled]) -> list[Labelled]:
        """Put ordinary talk before or behind."""
        parts = [turn]
        pick = self.random.random
        if pick() < 0.3:
            parts.insert(0, self._fill(self.random.choice(self.words["lead"])))
        if pick() < 0.3:
            parts.append(self._fill(self.random.choice(self.words["tail"])))
        elif pick() < 0.2:
            parts.append([(".", "O", False), *self._fill(self.random.choice(self.words["stop"]))])
        while pick() < 0.22 and len(parts) < 5:
            kind = self.random.choices(("plain", "people", "addresses"), (0.7, 0.2, 0.1))[0]
            _, more = self._turns(self.random.choice(self.frames[kind]))
            more = [(".", "O", False), *more] if pick() < 0.7 else more
            parts.insert(self.random.randrange(len(parts) + 1), more)
        return [item for part in parts for item in part]

    def _fill(self, frame: str) -> list[Labelled]:
        said: list[Labelled] = []
        for piece in frame.split():
            slot = _SLOT.match(piece)
            if slot is None:
                said.append((piece, "O", False))
                continue
            left, name, right = slot.groups()
            words, label = self._slot(name)
            words[0], words[-1] = left + words[0], words[-1] + right
            said += [(word, label, label != "O" or name in PROPER) for word in words]
        return said

    def _slot(self, name: str) -> tuple[list[str], str]:
        if name in ("first", "last", "full", "titled", "any", "initial", "spell"):
            return getattr(self, f"_{name}")().split(), "PERSON"
        if name in ("addr", "house", "street", "town", "flat", "estate", "box", "place", "number",
                    "state", "county", "spelladdr"):  # fmt: skip
            return self._where(name).split(), "ADDRESS"
        if name == "city":
            return self.random.choice(self.places["town"]).split(), "O"
        if name == "num":
            return self._number().split(), "O"
        if name == "digits":
            if self.digits:
                return [
                    "".join(self.random.choices("0123456789", k=self.random.randint(3, 10)))
                ], "O"
            return self.random.choices(DIGIT, k=self.random.randint(3, 10)), "O"
        value = self.random.choice(self.words[name])
        if name in ("co", "prod") and self.random.random() < 0.3:
            value = self._invented()
        elif name in ("noun", "adj") and self.random.random() < 0.35:
            value = self._swap()
        return self._fill(value)[0][0].split() if "<" in value else value.split(), "O"

    def _swap(self) -> str:
        word = self.random.choice(self.swaps)
        pick = self.random.random()
        if pick > 0.3 or len(word) < 4 or word[-1] in "sgydw":
            return word
        if pick > 0.15:
            return word + ("es" if word[-1] in "hx" else "s")
        if pick > 0.1:
            return word + ("r" if word[-1] == "e" else "er")
        return word.removesuffix("e") + ("ed" if pick > 0.05 else "ing")

    # ------------------------------------------------------------ names

    def _invented(self) -> str:
        """Return a word that looks like a name and is on no list."""
        a, b = self.random.choice(self.given), self.random.choice(self.family)
        if self.random.random() < 0.5:
            a, b = b, a
        if self.random.random() < 0.6:
            word = a[: max(2, len(a) // 2)] + b[-max(2, len(b) // 2) :]
        else:
            heads = self.random.choices(
                "b d f g h j k l m n p r s t v w y z br ch cl dr fr gr kh "
                "kr sh st sv th tr zh".split(),
                k=self.random.randint(2, 3),
            )
            word = "".join(
                head + self.random.choice("a e i o u a e i o u ai ei ou oo ia".split())
                for head in heads
            ) + self.random.choice(["", "n", "s", "k", "r", "l", "m", "ski", "sen", "man", "ez"])
        return self._invented() if word in self.ordinary or not word.isalpha() else word

    def _first(self) -> str:
        pick = self.random.random()
        if pick < 0.52:
            name = self.random.choice(self.given)
        elif pick < 0.62:
            name = self.random.choice(self.wordlike)
        elif pick < 0.94:
            name = self._invented()
        else:
            a, b = self.random.choice(self.given), self.random.choice(self.given)
            name = f"{a}-{b}" if pick < 0.96 else f"{a} {b}"
        self.last_name = self.last_name or name
        return name

    def _last(self) -> str:
        pick = self.random.random()
        if pick < 0.52:
            name = self.random.choice(self.family)
        elif pick < 0.60:
            name = self.random.choice(self.wordlike)
        elif pick < 0.90:
            name = self._invented()
        elif pick < 0.93:
            name = f"{self.random.choice(self.family)}-{self.random.choice(self.family)}"
        elif pick < 0.96:
            name = self.random.choice(("o'", "mc", "mac")) + self.random.choice(self.family)
        else:
            name = f"{self.random.choice(PARTS)} {self.random.choice(self.family)}"
        self.last_name = name
        return name

    def _full(self) -> str:
        pick = self.random.random()
        if pick < 0.80:
            return f"{self._first()} {self._last()}"
        if pick < 0.88:
            return f"{self._first()} {self._first()} {self._last()}"
        if pick < 0.93:
            return f"{self._first()} {self._initial()} {self._last()}"
        return self._titled()

    def _titled(self) -> str:
        name = self._last() if self.random.random() < 0.8 else f"{self._first()} {self._last()}"
        return f"{self.random.choice(TITLES)} {name}"

    def _any(self) -> str:
        return self.random.choice(
            (self._first, self._first, self._last, self._full, self._titled)
        )()

    def _initial(self) -> str:
        return self.random.choice("abcdefghijklmnoprstvwyz")

    def _spell(self) -> str:
        return self._letters(self.last_name or self.random.choice(self.family))

    def _letters(self, word: str) -> str:
        letters = [char for char in word.split()[-1] if char.isalpha()]
        pick = self.random.random()
        if pick < 0.6:
            return " ".join(letters)
        if pick < 0.7:
            return "-".join(letters)
        said = []
        for at, letter in enumerate(letters):
            if at and letter == letters[at - 1]:
                said[-1] = f"double {letter}"
            elif self.random.random() < 0.35:
                word = self.random.choice([w for w in WORDS if w[0] == letter] or self.given)
                said.append(f"{letter} {self.random.choice(('for', 'as in', 'like'))} {word}")
            else:
                said.append(letter)
        return " ".join(said)

    # ------------------------------------------------------------ addresses

    def _where(self, name: str) -> str:
        pick = self.random.random
        if name == "street":
            base = self.random.choice(self.places["streetname"])
            if pick() < 0.2:
                base = self._invented()
            if pick() < 0.12:
                side = self.random.choice(("north", "south", "east", "west", "old", "upper"))
                base = f"{side} {base}"
            return (
                base if pick() < 0.1 else f"{base} {self.random.choice(self.places['streettype'])}"
            )
        if name == "house":
            street = self._where("street")
            if pick() < 0.15:
                street = self.random.choice(self.places["streetname"])
            return f"{self._where('number')} {street}"
        if name == "number":
            return self._number() + (f" {self._initial()}" if pick() < 0.08 else "")
        if name == "flat":
            kind = self.random.choice(
                ("flat", "apartment", "apt", "unit", "suite", "room", "studio")
            )
            return f"{kind} {self._number()}" + (f" {self._initial()}" if pick() < 0.4 else "")
        if name == "estate":
            base = self.random.choice(self.places["estatename"])
            the = "the " if pick() < 0.35 else ""
            return f"{the}{base} {self.random.choice(self.places['estatetype'])}"
        if name == "box":
            return f"{self.random.choice(('po', 'p o', 'post office'))} box {self._number()}"
        if name == "place":
            return self._where(self.random.choice(("addr", "house", "street", "estate", "flat")))
        if name == "spelladdr":
            return self._letters(self.random.choice(self.places["streetname"]))
        if name == "town":
            return self._town()
        if name in ("state", "county"):
            return self.random.choice(self.places[name])
        parts = [self._where("house" if pick() < 0.8 else "estate")]
        if pick() < 0.2:
            parts.insert(0 if pick() < 0.5 else 1, self._where("flat"))
        if pick() < 0.5:
            parts.append(self._town())
            if pick() < 0.4:
                parts.append(
                    self.random.choice(self.places[self.random.choice(("state", "county"))])
                )
        return (", " if pick() < 0.5 else " ").join(parts)

    def _town(self) -> str:
        pick = self.random.random()
        if pick < 0.6:
            return self.random.choice(self.places["town"])
        town = self.random.choice(self.places["placestart"]) + self.random.choice(
            self.places["placeend"]
        )
        if pick > 0.88:
            return f"{self.random.choice(self.places['placelead'])} {town}"
        return f"{town} {self.random.choice(self.places['placetail'])}" if pick > 0.8 else town

    def _number(self) -> str:
        value = self.random.choice((self.random.randint(1, 30), self.random.randint(1, 199),
                                    self.random.randint(100, 9999)))  # fmt: skip
        return str(value) if self.digits else self._spoken(value)

    def _spoken(self, value: int) -> str:
        pick = self.random.random()
        if value < 10:
            return DIGIT[value]
        if value < 20:
            return TEENS[value - 10]
        if value < 100:
            return TENS[value // 10 - 2] + (f" {DIGIT[value % 10]}" if value % 10 else "")
        if value % 100 == 0 and value // 100 < 100:
            return f"{self._spoken(value // 100)} hundred"
        if pick < 0.3:
            return " ".join(DIGIT[int(char)] for char in str(value))
        if pick < 0.5 and value < 1000:
            return f"{DIGIT[value // 100]} hundred and {self._spoken(value % 100)}"
        rest = value % 100
        return f"{self._spoken(value // 100)} {'oh ' if rest < 10 else ''}{self._spoken(rest)}"

    # ------------------------------------------------------------ style

    def _noisy(self, said: list[Labelled]) -> list[Labelled]:
        """Do what recognizers do: drop, double and mishear words, keep fillers."""
        if self.random.random() < 0.45:
            return said
        heard: list[Labelled] = []
        for word, label, proper in said:
            pick = self.random.random()
            if label == "O" and pick < 0.03 and len(said) > 3:
                continue
            if label == "O" and word in HEARD and pick < 0.12:
                word = HEARD[word]
            elif label == "O" and 0.12 < pick < 0.20 and word.isalpha() and len(word) > 3:
                word = self._swap()
            if label == "PERSON" and pick < 0.02 and len(word) > 6:
                heard.append((word[: len(word) // 2], label, proper))
                word = word[len(word) // 2 :]
            heard.append((word, label, proper))
            if pick > 0.975:
                heard.append((self.random.choice(self.words["filler"]).split()[0], "O", False))
            elif pick > 0.965 and label == "O":
                heard.append((word, label, proper))
        return heard

    def _styled(self, said: list[Labelled], cased: bool) -> list[Labelled]:
        """Write it as a recognizer would: bare lower case, or with capitals and punctuation."""
        found: list[Labelled] = []
        begins = True
        for at, (word, label, proper) in enumerate(said):
            if word == ".":
                if cased and found and found[-1][0][-1].isalnum():
                    found[-1] = (found[-1][0] + ".", found[-1][1], found[-1][2])
                begins = True
                continue
            if not cased:
                bare = word.strip(",.?!")
                if bare:
                    found.append((normalise(bare), label, proper))
                continue
            if proper or begins or word.rstrip(",'") == "i" or word.startswith(("i'",)):
                word = "-".join(part[:1].upper() + part[1:] for part in word.split("-"))
            begins = word[-1] in ".?!"
            if at == len(said) - 1 and word[-1].isalnum():
                word += "?" if said[0][0].lower() in QUESTION else "."
            found.append((word, label, proper))
        return found
