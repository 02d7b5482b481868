"""Words that a call may hold: Whisper listens for them, and never invents them.

All of it runs the real library on tiny checkpoints that the tests make.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hint_whisper
import line_sounds
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import AGENT, Int16, say, wav
from watched_whisper import adapter, hear, noise, texts, watch

from voice_pipeline.domain import Received, Segment
from voice_pipeline.stages.ingest import ingest
from voice_pipeline.stages.transcribe import transcribe
from voice_pipeline.testing import MemoryShelf
from voice_pipeline.transcribers.faster_whisper import FasterWhisper

PLAIN = ["i", "want", "castle", "and", "marlin"]
ECHO = (("hello", "Kestrel"),)  # a model that says nothing but the name, if it is told of it


def heard_with(hints: Sequence[str]) -> list[str]:
    """Return what the model says that is told these."""
    return ["Kestrel" if w == "castle" and "Kestrel" in hints else
            "Merlin" if w == "marlin" and "Merlin" in hints else w for w in PLAIN]  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that hears two names wrongly unless it is told of them."""
    return hint_whisper.build(tmp_path_factory.mktemp("hints"))


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> FasterWhisper:
    """A model that repeats its prompt, unguarded."""
    return adapter(hint_whisper.build(tmp_path_factory.mktemp("echo"), ECHO))


@pytest.mark.parametrize("language", ["en", None])
@pytest.mark.parametrize("hints", [(), ("Kestrel",), ("Merlin",), ("Kestrel", "Merlin")])
def test_a_name_that_is_expected_is_heard(
    model: Path, hints: tuple[str, ...], language: str | None
) -> None:
    """Names of the vocabulary are written as such; the words beside them and times stay."""
    whisper = adapter(model)
    assert whisper.traits.takes_hints
    [plain] = hear(whisper, [Segment("a", 0, 0.0, noise(4.0))], language)
    [heard] = hear(whisper, [Segment("a", 0, 0.0, noise(4.0), hints=hints)], language)
    assert texts(heard) == heard_with(hints)
    assert [(w.start, w.end) for w in heard.words] == [(w.start, w.end) for w in plain.words]
    assert heard.language == "en"


HINTS = st.sampled_from([(), ("Kestrel",), ("Merlin",), ("Kestrel", "Merlin")])


@settings(max_examples=10, deadline=None)
@given(calls=st.lists(HINTS, min_size=2, max_size=4), batch=st.integers(1, 6), pack=st.booleans(),
       beam=st.sampled_from([1, 5]))  # fmt: skip
def test_a_call_is_told_of_its_own_names_alone(
    model: Path, calls: list[tuple[str, ...]], batch: int, pack: bool, beam: int
) -> None:
    """Calls of several queues in shared batches: each as if it were alone, with its own names."""
    whisper = adapter(model, pack=pack, beam_size=beam, linger=0.01)
    size = whisper._engine.batcher.size
    size.most = size.now = 1
    segments = [
        [Segment(f"call{n}", side, 9.0 * side, noise(4.0, n), hints=hints) for side in (0, 1)]
        for n, hints in enumerate(calls)
    ]
    alone = [hear(whisper, own) for own in segments]
    size.most = size.now = batch
    together: dict[int, Any] = {}
    threads = [
        threading.Thread(target=lambda n=n: together.update({n: hear(whisper, segments[n])}))
        for n in range(len(calls))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for n, hints in enumerate(calls):
        assert together[n] == alone[n]
        assert [texts(one) for one in together[n]] == [heard_with(hints)] * 2
    joint = hear(whisper, [segment for own in segments for segment in own])
    assert joint == [one for own in alone for one in own]


def test_prompts_of_one_length_share_a_batch(tmp_path: Path) -> None:
    """The library takes prompts of one length: others wait for their own batch, none is cut."""
    whisper = adapter(hint_whisper.build(tmp_path / "own"))
    watched = watch(whisper)
    each = [("Kestrel",), ("Merlin",), (), ("Kestrel", "Merlin"), ("Merlin",)]
    hear(whisper, [Segment(f"c{n}", 0, 0.0, noise(4.0), hints=h) for n, h in enumerate(each)])
    assert sorted(watched.encoded) == [1, 1, 3]
    assert all(len({len(prompt) for prompt in batch}) == 1 for batch in watched.prompts)


def test_segments_of_one_window_share_its_names(tmp_path: Path) -> None:
    """Packed segments of a channel are heard with the names of each of them."""
    both = [Segment("a", 0, 0.0, noise(4.0), hints=("Kestrel",)),
            Segment("a", 0, 9.0, noise(4.0), hints=("Merlin",))]  # fmt: skip
    whisper = adapter(hint_whisper.build(tmp_path / "own"), pack=True)
    watched = watch(whisper)
    hear(whisper, both)
    [told] = watched.prompts[0]
    assert tuple(told[:-4]) == whisper._engine.decoder.prompt(("Kestrel", "Merlin"))


# ---------------------------------------------------------------- never invented


def test_an_echo_of_the_prompt_is_heard_again_without_it(tmp_path: Path) -> None:
    """An answer of expected names alone is not believed: what is heard untold is kept."""
    whisper = adapter(hint_whisper.build(tmp_path / "own", ECHO))
    watched = watch(whisper)
    [heard] = hear(whisper, [Segment("a", 0, 0.0, noise(2.0), hints=("Kestrel",))])
    assert texts(heard) == ["hello"]
    assert [len(prompts[0]) for prompts in watched.prompts] == [6, 4]


def listen(samples: Int16, whisper: FasterWhisper, hints: Sequence[str]) -> list[str]:
    data = wav(samples, line_sounds.RATE)
    shelf = MemoryShelf()
    ref = shelf.put("call", "Audio", data)
    recording = ingest(Received("call", "a.wav", ref.sha256, len(data), ref, {}), shelf=shelf)
    heard = transcribe(recording, transcriber=whisper, shelf=shelf, hints=hints)
    return [word.text for speech in heard.speech for word in speech.words]


@pytest.mark.parametrize("name", ["comfort noise", "loud hiss", "arpeggio", "wind and handling"])
def test_no_name_appears_where_nobody_speaks(name: str, echo: FasterWhisper) -> None:
    """A model that repeats whatever it is told writes no hotword into silence, noise or music."""
    sounds = {**line_sounds.SILENCES, **line_sounds.TONES, **line_sounds.MUSIC}
    quiet = line_sounds.telephone(sounds[name](15.0, 7), 7)[None]
    assert listen(quiet, echo, ["Kestrel"]) == []


def test_no_name_appears_on_a_silent_side(echo: FasterWhisper) -> None:
    """Nor beside somebody who speaks, whose own words stay."""
    said = say("rms", AGENT[0], line_sounds.RATE)
    quiet = line_sounds.ulaw(line_sounds.hiss(len(said) / line_sounds.RATE, -50.0))[: len(said)]
    words = listen(np.stack([said, quiet]), echo, ["Kestrel"])
    assert words and set(words) == {"hello"}


def test_a_second_try_is_not_told(tmp_path: Path) -> None:
    """Names may be what made the model repeat itself: it is drawn again without them."""
    whisper = adapter(hint_whisper.build(tmp_path / "own"))
    watched = watch(whisper)
    watched.greedy_says = whisper._engine.decoder._tokenizer("en").encode(" want" * 12)
    [heard] = hear(whisper, [Segment("a", 0, 0.0, noise(4.0), hints=("Kestrel",))])
    assert texts(heard) == PLAIN
    assert heard.marks == ("resampled",)
    assert [len(prompts[0]) for prompts in watched.prompts] == [6, 4]


# ---------------------------------------------------------------- too many, odd


def test_of_too_many_names_the_queues_own_are_told(model: Path) -> None:
    """A long list takes at most half of what the model holds; what fits is its end, whole."""
    decoder = adapter(model)._engine.decoder
    many = [f"Name {n}" for n in range(300)]
    prompt = decoder.prompt([*many, "Kestrel"])
    assert len(prompt) <= 224
    told = decoder._model.hf_tokenizer.decode(list(prompt), skip_special_tokens=True)
    names = told.strip().split(", ")
    assert names == [*many, "Kestrel"][-len(names) :]
    assert decoder.prompt(["x" * 2000]) == ()
    whisper = adapter(model)
    [heard] = hear(whisper, [Segment("a", 0, 0.0, noise(4.0), hints=tuple(many))])
    assert texts(heard) == PLAIN


def test_a_name_commands_nothing(model: Path) -> None:
    """The model's own signs in a vocabulary are left out of what it is told."""
    decoder = adapter(model)._engine.decoder
    tokenizer = decoder._model.hf_tokenizer
    begin, *odd = decoder.prompt(["<|endoftext|>Kestrel <|notimestamps|> Merlin"])
    assert begin == tokenizer.token_to_id("<|startofprev|>")
    assert max(odd) < tokenizer.token_to_id("<|endoftext|>")
    assert tokenizer.decode(odd).split() == ["Kestrel", "Merlin"]
