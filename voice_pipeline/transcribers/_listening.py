"""From windows to words that can be answered for: language, second tries, doubts.

Decides which language a channel speaks, which windows are heard again and how, and what is left
marked. It refuses to pass off what still fails: such words lose their confidence; and to believe
an answer that only repeats the words that the model was told to expect.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from redaction.records import Word
from voice_pipeline.errors import Retryable
from voice_pipeline.transcribers._decoding import Answer, Asked, Features, is_short_of_memory
from voice_pipeline.transcribers._engines import Engine
from voice_pipeline.transcribers._hallucination import doubt_loops
from voice_pipeline.transcribers._windows import Lane, Piece, Window, place

# Whisper's own ladder: what fails is drawn again, ever more freely.
TEMPERATURES = (0.2, 0.4, 0.6, 0.8, 1.0)
ASKED_AGAIN = 2  # further windows of a channel that are asked where the longest was not sure
SURE_LANGUAGE = 0.5  # the threshold of Whisper's own detection


@dataclass(frozen=True, slots=True)
class Heard:
    """What was heard of one piece."""

    piece: Piece
    words: tuple[Word, ...] = field(repr=False)  # times in seconds into the piece
    marks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Language:
    """What a channel speaks."""

    code: str  # ISO 639-1
    share: float | None  # 0..1; None: it was said, not detected


_Tried = tuple[Window, Asked, Answer]


class Listener:
    """Hears the windows of one `transcribe`, in batches shared with everybody else's.

    Args:
        engine: the loaded model and its queue.
        beam: hypotheses kept while decoding.
        done: called with the finished share of the windows, 0..1.
    """

    def __init__(self, engine: Engine, *, beam: int, done: Callable[[float], None]) -> None:
        self._engine = engine
        self._beam = beam
        self._report = done
        self._total = self._finished = 0
        self.languages: dict[Lane, Language] = {}

    def hear(
        self,
        windows: Sequence[Window],
        features: Sequence[Features],
        language: str | None,
        hints: Sequence[Sequence[str]],
    ) -> list[Heard]:
        """Return what was heard of every piece, in no order; `languages` says how.

        Args:
            windows: of any calls.
            features: the spectrogram of each.
            language: ISO 639-1, or None: each channel's own is detected.
            hints: words to expect in each window.
        """
        self._total = len(windows)
        prompts = {own: self._engine.decoder.prompt(own) for own in set(map(tuple, hints))}
        asked = [
            Asked(
                sound,
                window.seconds,
                window.spoken,
                language,
                self._beam,
                prompt=prompts[tuple(own)],
            )
            for window, sound, own in zip(windows, features, hints, strict=True)
        ]
        if language is None:
            answers = self._in_their_language(windows, asked)
        else:
            answers = self._answers(asked, counts=True)
            self.languages.update((window.lane, Language(language, None)) for window in windows)
        answers = self._without_echoes(asked, answers, hints)
        tried = list(zip(windows, asked, answers, strict=True))
        single = [own for own in tried if len(own[0].pieces) == 1]
        packed = [own for own in tried if len(own[0].pieces) > 1]
        heard, doubtful = self._unpacked(packed)
        single += self._alone(doubtful)
        kept = self._tried_again([ask for _, ask, _ in single], [a for _, _, a in single])
        heard += [
            self._judged(window.pieces[0], answer)
            for (window, _, _), answer in zip(single, kept, strict=True)
        ]
        return heard

    # ------------------------------------------------------------ languages

    def _in_their_language(self, windows: Sequence[Window], asked: Sequence[Asked]) -> list[Answer]:
        """Ask each channel's longest window, two more where it is not sure, then hear the rest."""
        lanes: dict[Lane, list[int]] = defaultdict(list)
        for index in sorted(range(len(windows)), key=lambda index: -windows[index].spoken):
            lanes[windows[index].lane].append(index)
        answers: dict[int, Answer] = {}

        def ask(indices: Sequence[int], codes: Sequence[str | None]) -> None:
            tasks = [
                replace(asked[index], language=code)
                for index, code in zip(indices, codes, strict=True)
            ]
            answers.update(zip(indices, self._answers(tasks, counts=True), strict=True))

        longest = [order[0] for order in lanes.values()]
        ask(longest, [None] * len(longest))
        more = [
            index
            for order in lanes.values()
            if max(answers[order[0]].shares.values()) < SURE_LANGUAGE
            for index in order[1 : 1 + ASKED_AGAIN]
        ]
        ask(more, [None] * len(more))
        votes = {
            lane: _mean([(answers[i].shares, asked[i].length) for i in order if i in answers])
            for lane, order in lanes.items()
        }
        self.languages = {lane: _decided(lane, votes) for lane in lanes}
        codes = {index: self.languages[windows[index].lane].code for index in range(len(windows))}
        rest = [
            index for index in codes
            if index not in answers or answers[index].language != codes[index]
        ]  # fmt: skip
        ask(rest, [codes[index] for index in rest])
        return [answers[index] for index in range(len(windows))]

    # ------------------------------------------------------------ second tries

    def _without_echoes(
        self, asked: Sequence[Asked], answers: Sequence[Answer], hints: Sequence[Sequence[str]]
    ) -> list[Answer]:
        """Hear again, without hints, what is nothing but hints: it may be the prompt alone."""
        echoes = [
            index
            for index, (ask, answer) in enumerate(zip(asked, answers, strict=True))
            if ask.prompt and _is_echo(self._engine.decoder.text(answer), hints[index])
        ]
        again = [
            replace(asked[index], prompt=(), language=answers[index].language) for index in echoes
        ]
        kept = dict(zip(echoes, self._answers(again), strict=True))
        return [
            replace(kept[index], shares=answer.shares) if index in kept else answer
            for index, answer in enumerate(answers)
        ]

    def _unpacked(
        self, packed: Sequence[_Tried]
    ) -> tuple[list[Heard], list[tuple[Window, Asked, str]]]:
        """Return what packed windows gave each piece, and windows that leave any doubt."""
        heard: list[Heard] = []
        doubtful: list[tuple[Window, Asked, str]] = []
        for window, ask, answer in packed:
            sound = not (answer.looping or answer.is_unlikely)
            placed = place(self._engine.decoder.words(answer), window) if sound else None
            if placed is None or not all(placed):  # a piece without words may have been skipped
                doubtful.append((window, ask, answer.language))
                continue
            heard += [
                Heard(piece, words, ()) for piece, words in zip(window.pieces, placed, strict=True)
            ]
        return heard, doubtful

    def _alone(self, doubtful: Sequence[tuple[Window, Asked, str]]) -> list[_Tried]:
        """Hear each piece of a doubtful window in a window of its own, without hints."""
        windows = [alone for window, _, _ in doubtful for alone in window.alone()]
        asked = [
            replace(
                ask,
                features=self._engine.decoder.features(alone.samples()),
                seconds=alone.seconds,
                length=alone.spoken,
                language=code,
                prompt=(),
            )
            for window, ask, code in doubtful
            for alone in window.alone()
        ]
        return list(zip(windows, asked, self._answers(asked), strict=True))

    def _tried_again(self, asked: Sequence[Asked], answers: Sequence[Answer]) -> list[Answer]:
        """Draw what fails again, ever more freely and without hints, which may have made it fail.

        Where nothing passes, the likeliest is kept.
        """
        tries = [[answer] for answer in answers]
        for temperature in TEMPERATURES:
            failing = [index for index, own in enumerate(tries) if own[-1].fails]
            tasks = []
            for index in failing:
                encoded = answers[index].encoded
                assert encoded is not None, "what fails keeps what the encoder made of it"
                tasks.append(
                    replace(
                        asked[index],
                        features=encoded,
                        language=answers[index].language,
                        temperature=temperature,
                        prompt=(),
                    )
                )
            for index, answer in zip(failing, self._answers(tasks), strict=True):
                tries[index].append(replace(answer, encoded=None))
        return [own[-1] if not own[-1].fails else _likeliest(own) for own in tries]

    def _judged(self, piece: Piece, answer: Answer) -> Heard:
        """Return the words of a piece with the doubts that its answer leaves."""
        if answer.is_no_speech:
            return Heard(piece, (), ("no_speech",))
        placed = place(self._engine.decoder.words(answer), Window((piece,)))
        assert placed is not None, "a single piece has no neighbour to be mistaken for"
        [words] = placed
        marks = ["resampled"] if answer.temperature else []
        if answer.is_unlikely:
            marks.append("low_logprob")
        if answer.looping:
            marks.append("repetition")
            doubted = doubt_loops(words)
            # what compresses too well without a phrase in a row repeats itself all over
            words = doubted if doubted != words else _without_confidence(words)
        return Heard(piece, words, tuple(marks))

    # ------------------------------------------------------------ the queue

    def _answers(self, asked: Sequence[Asked], *, counts: bool = False) -> list[Answer]:
        before = self._finished

        def done(count: int) -> None:
            if counts:
                self._finished = before + count
                self._report(min(1.0, self._finished / self._total))

        try:
            return self._engine.batcher.run(asked, done)
        except (RuntimeError, MemoryError) as error:
            if is_short_of_memory(error):  # for a single window: the batch was halved down to it
                raise Retryable(
                    "too little memory to hear a single window", code="no_memory"
                ) from error
            raise


def _is_echo(text: str, hints: Sequence[str]) -> bool:
    """Return whether a text has words, and every one of them is one of a hint."""
    said = set(_plain(text))
    return bool(said) and said <= {part for hint in hints for part in _plain(hint)}


def _plain(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _mean(votes: Sequence[tuple[Mapping[str, float], float]]) -> dict[str, float]:
    """Return the mean shares of languages, weighted by seconds."""
    total = sum(seconds for _, seconds in votes)
    found: dict[str, float] = defaultdict(float)
    for shares, seconds in votes:
        for code, share in shares.items():
            found[code] += share * seconds / total
    return found


def _decided(lane: Lane, votes: Mapping[Lane, Mapping[str, float]]) -> Language:
    """Return a channel's language: its own, or the call's where it is not sure of its own."""
    own = votes[lane]
    if max(own.values()) < SURE_LANGUAGE:
        own = _mean([(shares, 1.0) for other, shares in votes.items() if other.call == lane.call])
    best = max(sorted(own), key=own.__getitem__)
    return Language(best, round(min(1.0, own[best]), 4))


def _likeliest(tries: Sequence[Answer]) -> Answer:
    """Return the likeliest of those that do not repeat themselves, if there are any."""
    return max([own for own in tries if not own.looping] or tries, key=lambda own: own.logprob)


def _without_confidence(words: Sequence[Word]) -> tuple[Word, ...]:
    return tuple(replace(word, confidence=0.0) for word in words)
