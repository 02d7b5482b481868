"""One loaded Whisper: windows of any calls in, tokens with times and their likelihood out.

Decides how a batch goes through CTranslate2's encode, detect_language, generate and align. It
refuses to carry text from one window to another: each is prompted with its language and with the
names that its own call may hold. The names of faster-whisper and CTranslate2 stop here.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from redaction.records import Word
from voice_pipeline.domain import Samples
from voice_pipeline.transcribers._hallucination import LOOPING, LOW_LOGPROB, is_not_speech, loops

RATE = 16000  # Hz
FRAMES = 3000  # of 10 ms: what the encoder takes
STEP = 0.02  # seconds, an encoder position
BEFORE = "<|startofprev|>"  # the token after which the text before a window stands
# Signs that belong to the word after or before them, as Whisper's own word times have it.
OPENING = "\"'“¿([{-"
CLOSING = "\"'.。,，!！?？:：”)]}、"

Features = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A window to decode; a `_batching.Task`."""

    # (mel bins, frames); at a temperature above 0 (positions, width): what the encoder made of it
    features: Features = field(repr=False)
    seconds: float  # how much of the window is sound
    length: float  # expected work: seconds in which somebody speaks
    language: str | None  # None: the model is to tell
    beam: int  # hypotheses kept while decoding; samples drawn at a temperature
    temperature: float = 0.0
    prompt: tuple[int, ...] = field(repr=False, default=())  # tokens of expected words: `prompt`

    @property
    def kind(self) -> tuple[float, int, int]:
        """The library decodes prompts of one length together; what they say may differ."""
        return self.temperature, self.beam, len(self.prompt)


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What the model made of one window."""

    tokens: tuple[int, ...] = field(repr=False)  # of text alone
    language: str  # ISO 639-1
    shares: Mapping[str, float]  # of languages, 0..1; empty where it was not to tell
    logprob: float  # mean over the tokens
    no_speech_prob: float  # 0..1
    looping: bool  # repeats itself
    temperature: float
    path: tuple[tuple[int, int], ...] = field(repr=False)  # (token, position) of the alignment
    chances: tuple[float, ...] = field(repr=False)  # a token, 0..1
    encoded: Features | None = field(repr=False, default=None)  # kept where another try may help

    @property
    def is_no_speech(self) -> bool:
        """The model itself doubts that anything was said, and guessed badly."""
        return is_not_speech(self.no_speech_prob, self.logprob)

    @property
    def is_unlikely(self) -> bool:
        return self.logprob < LOW_LOGPROB

    @property
    def fails(self) -> bool:
        """Whether hearing it again may help: Whisper's own rule (Radford et al. 2022, 4.5)."""
        return (self.looping or self.is_unlikely) and not self.is_no_speech


class Decoder:
    """A loaded `faster_whisper.WhisperModel`. `answer` is for one thread, the rest for any."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._tokenizers: dict[str, Any] = {}

    @property
    def is_multilingual(self) -> bool:
        return bool(self._model.model.is_multilingual)

    @property
    def languages(self) -> frozenset[str]:
        """ISO 639-1 codes that this very model has a token for."""
        if not self.is_multilingual:
            return frozenset({"en"})
        has = self._model.hf_tokenizer.token_to_id
        return frozenset(
            code for code in self._model.supported_languages if has(f"<|{code}|>") is not None
        )

    def features(self, samples: Samples) -> Features:
        """Return the log-mel spectrogram of at most 30 s, (mel bins, frames of 10 ms)."""
        found: Features = self._model.feature_extractor(samples)[..., :-1][..., :FRAMES]
        return found

    def prompt(self, hints: Sequence[str]) -> tuple[int, ...]:
        """Return the tokens that tell the model which words to expect, as its hotwords are told.

        They stand where the text before the window would. At most half of what the decoder holds:
        of too many hints the last ones are kept, which are the queue's own.
        """
        tokenizer = self._model.hf_tokenizer

        def tokens(text: str) -> list[int]:
            found = tokenizer.encode(text, add_special_tokens=False).ids
            return [token for token in found if token < end]  # a word commands nothing

        end, room = tokenizer.token_to_id("<|endoftext|>"), int(self._model.max_length) // 2 - 1
        kept: list[str] = []
        for hint in reversed(hints):
            room -= len(tokens(f", {hint}"))
            if room < 0:
                break
            kept.insert(0, hint)
        if not kept:
            return ()
        return (tokenizer.token_to_id(BEFORE), *tokens(" " + ", ".join(kept)))

    def text(self, answer: Answer) -> str:
        """Return the words of an answer as text."""
        return str(self._tokenizer(answer.language).decode(answer.tokens))

    def longest(self, tasks: Sequence[Asked]) -> int:
        """Return the most tokens, prompt included, that a batch may give."""
        return int(self._model.max_length)

    def answer(self, tasks: Sequence[Asked]) -> list[Answer]:
        """Decode windows that have one `kind`; an answer does not depend on its neighbours.

        Raises:
            RuntimeError, MemoryError: from the library; `is_short_of_memory` tells which.
        """
        encoded = self._encoded(tasks)
        shares = self._shares(encoded, tasks)
        languages = [
            task.language or max(sorted(own), key=own.__getitem__)
            for task, own in zip(tasks, shares, strict=True)
        ]
        results = self._generated(encoded, tasks, languages)
        tokenizer = self._tokenizer(languages[0])
        best = [max(range(len(r.scores)), key=r.scores.__getitem__) for r in results]
        ids = [r.sequences_ids[at] for r, at in zip(results, best, strict=True)]
        texts = [[token for token in own if token < tokenizer.eot] for own in ids]
        aligned = self._aligned(encoded, tasks, languages, texts)
        answers = [
            Answer(
                tokens=tuple(text),
                language=language,
                shares=own,
                # the score is a mean over the tokens; Whisper's counts the end of text as well
                logprob=result.scores[at] * len(full) / (len(full) + 1),
                no_speech_prob=result.no_speech_prob,
                looping=is_looping(tokenizer.decode(text)),
                temperature=task.temperature,
                path=path,
                chances=chances,
                encoded=None,
            )
            for task, language, own, result, at, full, text, (path, chances) in zip(
                tasks, languages, shares, results, best, ids, texts, aligned, strict=True
            )
        ]
        return self._with_encoded(answers, encoded)

    def words(self, answer: Answer) -> tuple[Word, ...]:
        """Return the words with times in seconds into the window, as the model's attention has it.

        Times are never interpolated. A sign is part of its word; a word lasts until the next one
        begins, or the sound ends.
        """
        if not answer.tokens:
            return ()
        tokenizer = self._tokenizer(answer.language)
        texts, tokens = tokenizer.split_to_word_tokens([*answer.tokens, tokenizer.eot])
        begins = _first_positions(answer.path)
        words: list[Word] = []
        at = 0
        for text, own in zip(texts[:-1], tokens[:-1], strict=True):
            last = at + len(own)
            chance = float(np.mean(answer.chances[at:last]))
            words.append(
                Word(
                    text,
                    begins[at] * STEP,
                    begins[last] * STEP,
                    round(min(1.0, max(0.0, chance)), 4),
                )
            )
            at = last
        return tuple(_without_loose_signs(words))

    def _encoded(self, tasks: Sequence[Asked]) -> Any:
        import ctranslate2

        first = tasks[0].features
        if tasks[0].temperature:
            rows = np.stack([task.features for task in tasks])
            return ctranslate2.StorageView.from_array(rows)
        batch = np.zeros((len(tasks), first.shape[0], FRAMES), np.float32)
        for row, task in zip(batch, tasks, strict=True):
            row[:, : task.features.shape[1]] = task.features
        return self._model.encode(batch)

    def _shares(self, encoded: Any, tasks: Sequence[Asked]) -> list[dict[str, float]]:
        """Return the likelihood of languages for windows whose language nobody named."""
        if all(task.language for task in tasks):
            return [{} for _ in tasks]
        known = self.languages
        return [
            {}
            if task.language
            else {token[2:-2]: share for token, share in found if token[2:-2] in known}
            for task, found in zip(tasks, self._model.model.detect_language(encoded), strict=True)
        ]

    def _generated(
        self, encoded: Any, tasks: Sequence[Asked], languages: Sequence[str]
    ) -> list[Any]:
        from faster_whisper.transcribe import get_suppressed_tokens

        first = tasks[0]
        search: dict[str, Any] = {"beam_size": first.beam}
        if first.temperature:
            search = {
                "beam_size": 1,
                "num_hypotheses": first.beam,
                "sampling_topk": 0,
                "sampling_temperature": first.temperature,
            }
        prompts = []
        for task, language in zip(tasks, languages, strict=True):
            tokenizer = self._tokenizer(language)
            prompts.append([*task.prompt, *tokenizer.sot_sequence, tokenizer.no_timestamps])
        results: list[Any] = self._model.model.generate(
            encoded,
            prompts,
            max_length=self.longest(tasks),
            return_scores=True,
            return_no_speech_prob=True,
            suppress_tokens=list(get_suppressed_tokens(self._tokenizer(languages[0]), [-1])),
            **search,
        )
        return results

    def _aligned(
        self,
        encoded: Any,
        tasks: Sequence[Asked],
        languages: Sequence[str],
        texts: Sequence[Sequence[int]],
    ) -> list[tuple[tuple[tuple[int, int], ...], tuple[float, ...]]]:
        """Return path and token likelihoods a window; the library aligns one language at a time."""
        found: list[Any] = [((), ())] * len(tasks)
        frames = [min(FRAMES, ceil(task.seconds) * 100) for task in tasks]
        for language in sorted(set(languages)):
            mine = [
                list(text) if own == language else []
                for text, own in zip(texts, languages, strict=True)
            ]
            if not any(mine):
                continue
            results = self._model.model.align(
                encoded, self._tokenizer(language).sot_sequence, mine, frames
            )
            for index, (text, result) in enumerate(zip(mine, results, strict=True)):
                if text:
                    found[index] = (tuple(result.alignments), tuple(result.text_token_probs))
        return found

    def _with_encoded(self, answers: list[Answer], encoded: Any) -> list[Answer]:
        """Give those that fail what the encoder made of them: most of the work of another try."""
        import ctranslate2

        if not any(answer.fails for answer in answers):
            return answers
        here = encoded.to_device(ctranslate2.Device.cpu).to(ctranslate2.DataType.float32)
        rows = np.asarray(here)
        return [
            replace(answer, encoded=rows[index].copy()) if answer.fails else answer
            for index, answer in enumerate(answers)
        ]

    def _tokenizer(self, language: str) -> Any:
        from faster_whisper.tokenizer import Tokenizer

        if language not in self._tokenizers:
            self._tokenizers[language] = Tokenizer(
                self._model.hf_tokenizer, self.is_multilingual, task="transcribe", language=language
            )
        return self._tokenizers[language]


def is_short_of_memory(error: Exception) -> bool:
    """Return whether the library said that memory was too small for this batch."""
    return isinstance(error, MemoryError) or "out of memory" in str(error).lower()


def is_looping(text: str) -> bool:
    """Return whether a text repeats itself: by how well it compresses, or by phrases in a row."""
    data = text.encode()
    return len(data) / len(zlib.compress(data)) > LOOPING or bool(loops(text.split()))


def _first_positions(path: Sequence[tuple[int, int]]) -> list[int]:
    """Return the encoder position at which each token begins, the end of text last."""
    begins: list[int] = []
    for token, position in path:
        if token == len(begins):
            begins.append(position)
    return begins


def _without_loose_signs(words: Sequence[Word]) -> list[Word]:
    """Join opening signs to the word after them, closing signs to the one before."""
    found: list[Word] = []
    waiting: Word | None = None  # an opening sign that stands for itself
    for word in words:
        text = word.text.strip()
        if text and text in OPENING and word.text.startswith(" "):
            waiting = word if waiting is None else _joined(waiting, word, word.confidence)
        elif text and text in CLOSING and found and waiting is None:
            found[-1] = _joined(found[-1], word, found[-1].confidence)
        elif text:
            found.append(word if waiting is None else _joined(waiting, word, word.confidence))
            waiting = None
    return [
        Word(text, word.start, word.end, word.confidence)
        for word in found
        if (text := "".join(word.text.split()))
    ]


def _joined(first: Word, second: Word, confidence: float | None) -> Word:
    return Word(first.text + second.text, first.start, second.end, confidence)
