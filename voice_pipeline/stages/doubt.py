"""Words that nobody can have said, and how a reader is told of all that is doubtful.

Decides from the sound alone: a word needs a voice near it, and a word that the engine was told to
expect needs one right under it. It refuses to judge what words mean: a doubtful digit stays, for
the redactor to see.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from redaction.records import Word
from voice_pipeline.domain import LineSound, Warning, music_seconds

# Seconds within which a voice makes a word possible: voices are known to 0.24 s, engines place
# words up to 0.2 s off, and "yes" ends in 0.2 s without a voice.
NEAR_VOICE = 0.4
NAMED = 5  # stretches of music whose times are told one by one

# mark of a segment -> what it says
MARKS = {
    "hallucination": "text where the engine itself heard no speech",
    "low_logprob": "guesses",
    "repetition": "text that repeats itself",
    "unlikely_word": "words more likely guessed than said",
    "words_in_silence": "words placed where nobody speaks",
}

Spans = Sequence[tuple[float, float]]


def without_inventions(
    words: Sequence[Word], voiced: Spans | None, hints: Sequence[str] = ()
) -> tuple[Word, ...]:
    """Return the words less those that have no voice near them.

    Args:
        words: of one segment; a word without times stays if anybody speaks in the segment at all.
        voiced: [start, end) seconds with a voice, on the words' clock; None: nobody looked.
        hints: words the engine was told to expect: these need a voice under them, since an engine
            puts what it expects into sound that is hard to hear.
    """
    if voiced is None:
        return tuple(words)
    expected = {part for hint in hints for part in plain(hint).split()}
    return tuple(
        word
        for word in words
        if _has_voice(word, voiced, 0.0 if plain(word.text) in expected else NEAR_VOICE)
    )


def plain(text: str) -> str:
    """Return a text as it compares: lower case, letters and digits, single spaces."""
    kept = "".join(char if char.isalnum() or char.isspace() else "" for char in text.casefold())
    return " ".join(kept.split())


def _has_voice(word: Word, voiced: Spans, near: float) -> bool:
    if word.start is None or word.end is None:
        return bool(voiced)
    begin, finish = word.start - near, word.end + near
    return any(start < finish and end > begin for start, end in voiced)


def about_sounds(sounds: Sequence[LineSound]) -> list[Warning]:
    """Return what to tell of music and tones, with channels and seconds."""
    told = []
    music = [sound for sound in sounds if sound.kind == "music"]
    if music:
        total = music_seconds(sounds)
        places = "; ".join(
            f"channel {sound.channel} {sound.start:.0f}-{sound.end:.0f} s"
            for sound in music[:NAMED]
        )
        more = f"; {len(music) - NAMED} more" if len(music) > NAMED else ""
        told.append(Warning("hold_music", f"Music for {total:.0f} s: {places}{more}."))
    tones = [sound for sound in sounds if sound.kind == "tone"]
    if tones:
        total = sum(sound.end - sound.start for sound in tones)
        told.append(
            Warning(
                "line_tones",
                f"{len(tones)} times tones of the line, {total:.0f} s: ringing, busy, fax, beeps "
                "or hum.",
            )
        )
    return told


def about_words(dropped: int, marks: Sequence[str]) -> list[Warning]:
    """Return what to tell of words that were left out, and of segments that the engine doubts."""
    told = []
    if dropped:
        told.append(
            Warning(
                "invented_words", f"{dropped} words were heard where no voice is, and left out."
            )
        )
    counted = Counter(mark for mark in marks if mark in MARKS)
    if counted:
        kinds = ", ".join(f"{MARKS[mark]} ({count})" for mark, count in sorted(counted.items()))
        told.append(Warning("doubtful_words", f"Stretches with {kinds}."))
    return told
