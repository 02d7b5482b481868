"""In which language a call is, and what happens where nobody can tell."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from command import SAMPLES, load, only_folder, run
from recordings import AGENT, CUSTOMER, conversation, say, wav

from redaction.records import Turn, Word
from voice_pipeline.domain import Heard, Received, Segment, SegmentSpeech, Transcript
from voice_pipeline.ports import Progress, TranscriberTraits
from voice_pipeline.stages.ingest import ingest
from voice_pipeline.stages.plausible import FLOOR, everyday, likelihood, plausible
from voice_pipeline.stages.transcribe import UNKNOWN, transcribe
from voice_pipeline.stages.verify import SUPPORTED
from voice_pipeline.testing import MemoryShelf, ScriptedTranscriber

ENGLISH = """
    good morning thank you for calling how can i help you today well my bill is much higher than it
    was last month and i never ordered anything like that please tell me when i will get my money
    back no that was all thank you very much goodbye
    """.split()
# What the download-free recognizer wrote when it heard a German caller (espeak-ng).
FORCED = """
    oh the mall and eat on the floor while i agree that are smoking and the link with the
    middle east are good on the on and on the on being completely only like to put on the
    economy only on and not really on an economic mean the walled eat it he can he play
    concrete not but a beagle
    """.split()


def spread(texts: Sequence[str], step: float = 0.3, sure: float | None = 0.9) -> list[Word]:
    return [Word(text, i * step, i * step + 0.28, sure) for i, text in enumerate(texts)]


def forced(times: int = 1) -> list[Word]:
    """Return the German caller's words with the confidence that they had: 0.25."""
    return spread(FORCED * times, sure=0.25)


class Detecting(ScriptedTranscriber):
    """Detects the language of each channel, as it is told to."""

    def __init__(self, languages: Mapping[int, tuple[str, float]]) -> None:
        script = {channel: spread(["hello"] * 60) for channel in languages}
        traits = TranscriberTraits(None, True, True, False, "detects")
        super().__init__(script, traits=traits)
        self._languages = languages

    def transcribe(
        self, segments: Sequence[Segment], *, language: str | None, progress: Progress
    ) -> list[SegmentSpeech]:
        return [
            dataclasses.replace(speech, language=code, language_confidence=sure)
            for segment, speech in zip(
                segments,
                super().transcribe(segments, language=language, progress=progress),
                strict=True,
            )
            for code, sure in [self._languages[segment.channel]]
        ]


def hear(transcriber: ScriptedTranscriber, **facts: Any) -> Heard:
    data = wav(conversation(pairs=3)[0])
    shelf = MemoryShelf()
    ref = shelf.put("call", "Audio", data)
    recording = ingest(Received("call", "a.wav", ref.sha256, len(data), ref, {}), shelf=shelf)
    return transcribe(dataclasses.replace(recording, **facts), transcriber=transcriber, shelf=shelf)


def codes(heard: Heard) -> set[str]:
    return {warning.code for warning in heard.warnings}


def test_two_channels_may_differ() -> None:
    """Each channel has the language that was heard on it, and the difference is said."""
    heard = hear(Detecting({0: ("en", 0.95), 1: ("de", 0.9)}))
    assert [speech.language for speech in heard.speech] == ["en", "de"]
    assert "language_differs" in codes(heard)
    same = hear(Detecting({0: ("en", 0.95), 1: ("en", 0.9)}))
    assert "language_differs" not in codes(same)


def test_an_unsure_channel_is_in_the_calls_language() -> None:
    """A guess about one side does not make a second language."""
    heard = hear(Detecting({0: ("en", 0.95), 1: ("nn", 0.3)}))
    assert {speech.language for speech in heard.speech} == {"en"}
    assert "language_differs" not in codes(heard)


def test_one_side_in_another_language_holds_the_call() -> None:
    """English rules on half a call would leave the other half as it is: nothing leaves."""
    from voice_pipeline.stages.verify import _understood

    turns = (Turn("agent", tuple(spread(ENGLISH))), Turn("customer", tuple(spread(FORCED)), 1))
    spoken = ((0.0, 20.0),)
    call = Transcript(
        "call", "en", turns, "e", "d", (0.9, 0.9), (0.9, 0.9), (spoken, spoken),
        languages=("de", "en"),
    )  # fmt: skip
    _, reasons = _understood(call, 0.65, SUPPORTED)
    assert [reason.code for reason in reasons] == ["language_unsupported"]
    _, none = _understood(dataclasses.replace(call, languages=()), 0.65, SUPPORTED)
    assert none == ()


def test_english_reads_like_english() -> None:
    """Everyday words make a call likely; words forced out of another language do not."""
    assert likelihood(spread(ENGLISH)) > 0.8
    assert likelihood(forced()) < FLOOR
    assert plausible(spread(ENGLISH), "en")
    assert not plausible(forced(), "en")


def test_neither_words_nor_confidence_decide_alone() -> None:
    """Uncommon things that were heard well are English, and so are common ones heard badly."""
    rare = "windscreen bumper collision garage mechanic radiator gearbox exhaust".split() * 3
    assert plausible(spread([*rare, *ENGLISH], sure=0.85), "en")
    assert plausible(spread(ENGLISH, sure=0.45), "en")
    assert not plausible(spread(rare, sure=0.3), "en")


def test_without_confidences_the_words_decide() -> None:
    """An engine that gives none is judged by its words alone."""
    assert plausible(spread(ENGLISH, sure=None), "en")
    assert not plausible(spread(FORCED, sure=None), "en")


def test_little_is_not_judged() -> None:
    """A few words, digits, spelled letters or another language are not called implausible."""
    assert plausible(forced()[:12], "en")
    assert plausible(spread(["four", "two", "x", "q"] * 20, sure=0.5), "en")
    assert plausible(spread(["Rechnung"] * 50, sure=0.1), "de")
    assert plausible([], "en")


def test_words_that_are_no_english_have_no_language() -> None:
    """An engine that knows English alone hears another language: the call is in none we know."""
    heard = hear(ScriptedTranscriber({0: forced(2), 1: forced(2)}))
    assert "language_doubtful" in codes(heard)
    assert "language_assumed" not in codes(heard)
    assert {speech.language for speech in heard.speech} == {UNKNOWN}
    assert UNKNOWN not in SUPPORTED


def test_a_named_language_is_not_believed_against_the_ear() -> None:
    """Metadata that says English does not release a call that does not read like it."""
    heard = hear(ScriptedTranscriber({0: forced(2), 1: forced(2)}), metadata={"language": "en"})
    assert "language_doubtful" in codes(heard)


@pytest.mark.parametrize("call", sorted(path.stem for path in (SAMPLES / "scripts").glob("*.yaml")))
def test_sample_calls_are_english(call: str) -> None:
    """Every sample call, heard as well as the download-free engine hears it, reads like English."""
    truth = (json.loads(line) for line in (SAMPLES / "truth.jsonl").read_text().splitlines())
    turns = next(found["turns"] for found in truth if found["id"] == call)
    said = [word for turn in turns for word in turn["text"].split()]
    assert plausible(spread(said, sure=0.7), "en")


# ---------------------------------------------------------------- for real


def test_another_language_than_the_engines_is_held(tmp_path: Path) -> None:
    """`--language de` with an engine of English alone: held with a code and a sentence, exit 5."""
    file = tmp_path / "anruf.wav"
    file.write_bytes(wav(say("rms", AGENT[0])[None]))
    done = run("process", file, "--out", tmp_path / "out", "--language", "de",
               "--transcriber", "pocketsphinx")  # fmt: skip
    assert done.returncode == 5, done.stderr
    folder = only_folder(tmp_path / "out")
    note = load(folder, "note.json")
    assert note["status"] == "held"
    assert "language_unsupported" in {reason["code"] for reason in note["reasons"]}
    assert not (folder / "transcript.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("voice", "text"),
    [
        ("de", "Guten Tag, ich habe eine Frage zu meiner letzten Rechnung. Sie ist viel höher als "
               "im Monat davor, und ich habe nichts bestellt. Wann bekomme ich mein Geld zurück?"),
        ("es", "Buenos días, tengo una pregunta sobre mi última factura. Es mucho más alta que el "
               "mes pasado y no he pedido nada. Cuándo me devolverán el dinero?"),
    ],
)  # fmt: skip
def test_a_call_in_another_language_is_held(tmp_path: Path, voice: str, text: str) -> None:
    """Nobody said which language it is, and it is not English: nothing leaves."""
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed: no speech in other languages")
    import subprocess

    file = tmp_path / "call.wav"
    subprocess.run(["espeak-ng", "-v", voice, "-w", str(file), text], check=True)
    done = run("process", file, "--out", tmp_path / "out", "--transcriber", "pocketsphinx",
               timeout=600)  # fmt: skip
    assert done.returncode == 5, done.stderr
    assert load(only_folder(tmp_path / "out"), "note.json")["status"] == "held"


def test_english_voices_are_english() -> None:
    """The texts that our tests speak are likely by a wide margin."""
    said = " ".join((*AGENT, *CUSTOMER)).lower().replace(",", "").replace(".", "").split()
    assert everyday(spread(said)) > 0.8
    assert everyday([]) == likelihood([]) == 1.0
