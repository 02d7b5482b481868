"""An organisation's own words: written as it writes them, and nothing else is touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from redaction import Redactor, Turn, Word, load_policy
from voice_pipeline.domain import Transcript
from voice_pipeline.errors import Misconfigured
from voice_pipeline.policy.load import DEFAULT, load_pack
from voice_pipeline.policy.pack import Vocabulary, Words
from voice_pipeline.spoken.profanity import is_profane
from voice_pipeline.spoken.spelling import apart, sounds
from voice_pipeline.stages.redact import redact
from voice_pipeline.stages.respell import PROFANITY, respell


def said(text: str, confidence: float = 0.5) -> tuple[Word, ...]:
    return tuple(
        Word(word, i * 0.4, i * 0.4 + 0.3, confidence) for i, word in enumerate(text.split())
    )


def call(text: str, speaker: str = "customer", confidence: float = 0.5) -> Transcript:
    turn = Turn(speaker, said(text, confidence))
    return Transcript("call", "en", (turn,), "e", "d", (1.0,), (1.0,), (((0.0, 60.0),),))


def written(transcript: Transcript) -> str:
    return transcript.turns[0].text


NAMES = Words(hotwords=("FibreMax", "Kestrel Router", "Siobhan", "Solara"))


@pytest.mark.parametrize(
    ("heard", "wanted"),
    [
        ("about my fiber max bill", "about my FibreMax bill"),
        ("the kestrel rooter is red", "the Kestrel Router is red"),
        ("i have so larra here", "i have Solara here"),
        ("nothing of that kind at all", "nothing of that kind at all"),
    ],
)
def test_what_sounds_like_a_hotword_is_written_as_it(heard: str, wanted: str) -> None:
    """Names that were hardly heard come out as the organisation writes them."""
    assert written(respell(call(heard), NAMES)) == wanted


def test_what_was_heard_stays_beside_it() -> None:
    """The redactor sees both, so a wrong correction can hide nothing from it."""
    before = call("my fiber max bill")
    (turn,) = respell(before, NAMES).turns
    assert turn.forms == (before.turns[0].words,)
    assert respell(call("my bill"), NAMES).turns[0].forms == ()


def test_times_and_doubt_are_kept() -> None:
    """One word in the place of two spans them and is as doubtful as the more doubtful one."""
    words = (Word("fiber", 1.0, 1.4, 0.3), Word("max", 1.5, 1.9, 0.6))
    before = Transcript("c", "en", (Turn("agent", words),), "", "", (1.0,), (1.0,), ((),))
    (word,) = respell(before, NAMES).turns[0].words
    assert (word.text, word.start, word.end, word.confidence) == ("FibreMax", 1.0, 1.9, 0.3)
    untimed = (Word("fiber", None, None), Word("max", 1.5, 1.9))
    before = Transcript("c", "en", (Turn("agent", untimed),), "", "", (1.0,), (1.0,), ((),))
    (word,) = respell(before, NAMES).turns[0].words
    assert (word.start, word.end, word.confidence) == (None, None, None)


def test_everyday_words_that_were_heard_well_stay() -> None:
    """A hotword like an everyday word takes nothing that the engine is sure of."""
    wanted = Words(hotwords=("Billy", "Callin", "Orda"))
    sure = call("my bill is calling about the order", confidence=0.95)
    assert respell(sure, wanted).turns == sure.turns


def test_one_doubtful_word_does_not_give_its_neighbours_away() -> None:
    """A stretch of everyday words is a name only where each of them was hardly heard."""
    wanted = Words(hotwords=("Thaddeus",))
    for doubts, text in (((0.9, 0.3), "that is"), ((0.3, 0.3), "Thaddeus")):
        words = tuple(
            Word(word, at, at + 0.9, doubt)
            for at, (word, doubt) in enumerate(zip(("that", "is"), doubts, strict=True))
        )
        before = Transcript("c", "en", (Turn("agent", words),), "", "", (1.0,), (1.0,), ((),))
        assert written(respell(before, wanted)) == text


@pytest.mark.parametrize(
    "heard", ["four two seven nine", "s o l a r a", "forty two pounds", "b 4 x"]
)
def test_numbers_and_letters_are_never_touched(heard: str) -> None:
    """What redaction needs as it was heard stays as it was heard."""
    wanted = Words(hotwords=("Fortytwo", "Solara", "Fortu Seven", "Beforex", "Sevenine"))
    assert written(respell(call(heard, confidence=0.1), wanted)) == heard


def test_a_callers_name_is_left_alone() -> None:
    """Where a caller says a name, it is the redactor's; an agent's name may be mended."""
    assert written(respell(call("my name is so larra"), NAMES)) == "my name is so larra"
    assert written(respell(call("my name is so larra", "agent"), NAMES)) == "my name is Solara"


def test_spellings_are_obeyed_to_the_letter() -> None:
    """A pair in `spellings` is replaced wherever it stands, however sure the engine was."""
    words = Words(spellings={"kestral": "Kestrel", "net zone": "NetZone"})
    sure = call("Kestral, and the net zone", confidence=1.0)
    assert written(respell(sure, words)) == "Kestrel and the NetZone"


def test_personal_data_is_found_in_either_form() -> None:
    """A number that a spelling rule mangles is still redacted: what was heard is searched, too."""
    number = "four one one one one one one one one one one one one one one one"
    before = call(f"my card number is {number}", confidence=0.95)
    words = Words(spellings={"one one one one": "Quadro"})
    after = respell(before, words)
    assert "Quadro" in written(after)
    redactor = Redactor(load_policy("balanced"))
    found = redact(after, redactor=redactor)
    assert any(finding.label == "CARD_NUMBER" for finding in found.findings)
    hidden = {i for f in found.findings for i in range(f.first, f.last)}
    left = [w.text for i, w in enumerate(after.turns[0].words) if i not in hidden]
    assert "Quadro" not in left
    assert "four" not in left


def test_profanity_is_kept_or_masked() -> None:
    """Kept by default; masked, the word goes and its time stays."""
    before = call("that is bullshit, you bastards", confidence=0.9)
    assert respell(before, Words()).turns == before.turns
    after = respell(before, Words(), mask=True)
    assert written(after) == f"that is {PROFANITY} you {PROFANITY}"
    assert [w.start for w in after.turns[0].words] == [w.start for w in before.turns[0].words]
    assert after.turns[0].forms == ()  # the word is nobody's personal data, and not kept


@pytest.mark.parametrize("word", ["Scunthorpe", "cockpit", "class", "assess", "Dickens", "title"])
def test_innocent_words_are_not_profane(word: str) -> None:
    """Words that hold a profane one are not."""
    assert not is_profane(word)


@given(st.lists(st.sampled_from("bill solar fibre max the one two kestrel router x my is".split())))
def test_respelling_loses_no_time_and_no_order(texts: list[str]) -> None:
    """Whatever is said: times stay in order, numbers stay, nothing appears from nowhere."""
    before = call(" ".join(texts))
    after = respell(before, NAMES)
    starts = [w.start for w in after.turns[0].words if w.start is not None]
    assert starts == sorted(starts)
    for number in ("one", "two", "x"):
        assert written(after).split().count(number) == texts.count(number)
    extra = set(written(after).split()) - set(texts)
    assert extra <= {"FibreMax", "Kestrel", "Router", "Solara", "Siobhan"}


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz ", max_size=12), st.text(max_size=12))
def test_distance_is_a_distance(one: str, other: str) -> None:
    """Nothing from itself, the same both ways, never above one."""
    a, b = sounds(one), sounds(other)
    assert apart(a, a) == 0.0
    assert apart(a, b) == pytest.approx(apart(b, a))
    assert 0.0 <= apart(a, b) <= 1.0


@pytest.mark.parametrize(
    ("one", "other"),
    [("Zephyr", "zeffer"), ("Northwind", "north wind"), ("phone", "fone"), ("quick", "kwik"),
     ("Meridian", "meridien"), ("night", "nite"), ("write", "rite"), ("cell", "sell")],
)  # fmt: skip
def test_spellings_of_one_sound_are_near(one: str, other: str) -> None:
    """Different letters for the same sounds lie close together."""
    assert apart(sounds(one), sounds(other)) <= 0.2


# ---------------------------------------------------------------- the pack


def pack(folder: Path, vocabulary: Any) -> Path:
    import shutil

    shutil.copytree(DEFAULT, folder / "pack")
    (folder / "pack" / "vocabulary.yaml").write_text(yaml.safe_dump(vocabulary))
    return folder / "pack"


def test_words_of_a_queue_come_with_those_of_every_queue(tmp_path: Path) -> None:
    """A queue's calls expect its own words and the organisation's; other queues do not."""
    found = load_pack(
        pack(
            tmp_path,
            {
                "profanity": "mask",
                "every_queue": {"hotwords": ["Northwind"], "spellings": {"north win": "Northwind"}},
                "queues": {"broadband": {"hotwords": ["FibreMax", "Northwind"]}},
            },
        )
    ).vocabulary
    assert found.profanity == "mask"
    assert found.of("Broadband").hotwords == ("Northwind", "FibreMax")
    assert found.of("").hotwords == found.of("billing").hotwords == ("Northwind",)
    assert found.of("broadband").spellings == {"north win": "Northwind"}


def test_a_pack_without_vocabulary_expects_nothing(tmp_path: Path) -> None:
    """The file may be absent: packs written before it was known stay good."""
    folder = pack(tmp_path, {})
    (folder / "vocabulary.yaml").unlink()
    assert load_pack(folder).vocabulary == Vocabulary()


def test_a_typo_in_the_vocabulary_is_a_fault(tmp_path: Path) -> None:
    """A key nobody knows would silently do nothing."""
    with pytest.raises(Misconfigured, match=r"vocabulary\.yaml:1: hotword: unknown key|hotword"):
        load_pack(pack(tmp_path, {"every_queue": {"hotword": ["x"]}}))
