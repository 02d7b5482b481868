"""Loads a Whisper once a process and gives every adapter that names it the same device queue.

Decides device and number format. It refuses to load the same weights a second time: adapters share
them, with the batch size of the first.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from voice_pipeline.errors import Misconfigured, Retryable
from voice_pipeline.transcribers._batching import Batcher
from voice_pipeline.transcribers._decoding import Answer, Asked, Decoder, is_short_of_memory

# Windows decoded at once. A CPU gains nothing from more (docs/performance.md), a GPU idles on less.
BATCH_CPU, BATCH_CUDA = 8, 32
# Batches under way. A GPU idles while one is prepared and read; two share the weights.
AT_ONCE_CPU, AT_ONCE_CUDA = 1, 2
SEED = 20260101  # of second tries, which draw samples: the same process does the same again


class Weights(NamedTuple):
    """What is loaded, and how."""

    folder: Path
    device: str  # cpu or cuda
    compute_type: str  # int8, float16, ...
    threads: int  # CPU threads; 0: the library decides


class Engine:
    """A loaded model and its queue."""

    def __init__(self, decoder: Decoder, *, most: int, linger: float, at_once: int = 1) -> None:
        self.decoder = decoder
        self.batcher: Batcher[Asked, Answer] = Batcher(
            decoder.answer,
            most=most,
            linger=linger,
            is_short_of_memory=is_short_of_memory,
            at_once=at_once,
        )


_loaded: WeakValueDictionary[Weights, Engine] = WeakValueDictionary()
_loading = threading.Lock()


def engine(weights: Weights, *, most: int | None, linger: float) -> Engine:
    """Return the process's engine for these weights, loading them where nobody has.

    Args:
        weights: what to load.
        most: windows decoded at once; None: what suits the device.
        linger: seconds to wait for other calls' windows while some are being prepared.

    Raises:
        Misconfigured: the model does not load.
        Retryable: there is too little memory to load it.
    """
    with _loading:
        found = _loaded.get(weights)
        if found is None:
            most = most or (BATCH_CUDA if weights.device == "cuda" else BATCH_CPU)
            at_once = AT_ONCE_CUDA if weights.device == "cuda" else AT_ONCE_CPU
            decoder = Decoder(_load(weights, at_once))
            found = Engine(decoder, most=most, linger=linger, at_once=at_once)
            _loaded[weights] = found
        return found


def choose(device: str, compute_type: str) -> tuple[str, str]:
    """Return device and number format to compute with, `auto` resolved by what is here.

    Raises:
        Misconfigured: there is no such device, or it cannot compute with such numbers.
    """
    import ctranslate2

    gpu = ctranslate2.get_cuda_device_count() > 0
    if device == "auto":
        device = "cuda" if gpu else "cpu"
    elif device == "cuda" and not gpu:
        raise Misconfigured(
            "device = cuda, but CTranslate2 sees no CUDA device; set device = auto, or install "
            "the CUDA libraries that CTranslate2 names",
            code="no_cuda",
        )
    if compute_type == "auto":
        return device, "float16" if device == "cuda" else "int8"
    known = ctranslate2.get_supported_compute_types(device)
    if compute_type not in known:
        raise Misconfigured(
            f"compute_type = {compute_type}, but {device} computes with "
            f"{', '.join(sorted(known))} here; choose one of them, or auto"
        )
    return device, compute_type


def _load(weights: Weights, at_once: int) -> Any:
    import ctranslate2
    import faster_whisper

    ctranslate2.set_random_seed(SEED)
    what = f"{weights.folder}: the model does not load on {weights.device} as"
    try:
        model = faster_whisper.WhisperModel(
            str(weights.folder),  # a folder that exists: the library asks no hub
            device=weights.device,
            compute_type=weights.compute_type,
            cpu_threads=weights.threads,
            num_workers=at_once,
            local_files_only=True,
        )
    except Exception as error:  # tokenizers raises Exception itself
        if is_short_of_memory(error):
            raise Retryable("not enough memory to load the model", code="no_memory") from error
        raise Misconfigured(
            f"{what} {weights.compute_type}; a file of it is damaged or cut off: copy or pull it "
            "again (`voice-pipeline doctor`, `voice-pipeline models verify`)"
        ) from error
    bins, wanted = model.feature_extractor.mel_filters.shape[0], model.model.n_mels
    if bins != wanted:
        raise Misconfigured(
            f"{weights.folder}: the model listens to {wanted} mel bins, but "
            f"preprocessor_config.json is missing or says {bins}; copy that file from where the "
            "model came from",
            code="model_missing",
        )
    return model
