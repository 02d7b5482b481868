"""Teaches the bundled English acoustic model how a telephone sounds; writes an MLLR file.

Speech of three synthetic voices (flite kal16 and rms, festival hts-slt) is made twice from our own
sentences: wide band, and through a telephone (300-3400 Hz, 8 kHz, mu-law). Least squares maps the
features of the one onto the other (Leggetter & Woodland 1995 in its simplest, one-class form).
It refuses to be judged on what it learned from: word error is printed for two voices and thirty
sentences that took no part.

    python models/recipes/telephone_adaptation.py --out models/artefacts/en-us-telephone.mllr

Needs the programs flite and festival (text2wave); about ten minutes on one core.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import tempfile
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, resample_poly, sosfiltfilt

Pcm = NDArray[np.int16]  # 16 kHz mono

HERE = Path(__file__).parent
TRAIN = ("kal16", "hts", "rms")
HELD_OUT = ("slt", "awb")
CEPSTRA = 13  # coefficients a frame in the bundled model's feature streams
QUIETEST = 25  # percentile of c0 below which a frame counts as silence and is left out
VARIANCE = (0.4, 2.0)  # the variance ratio is kept inside these bounds: few voices, little trust


def speak(voice: str, text: str) -> Pcm:
    """Synthesize one sentence at 16 kHz."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "said.wav"
        if voice == "hts":
            command = ["text2wave", "-eval", "(voice_cmu_us_slt_arctic_hts)", "-o", str(path)]
            subprocess.run(command, input=text.encode(), check=True, capture_output=True)
        elif voice.startswith("espeak"):
            command = ["espeak-ng", "-v", voice.removeprefix("espeak:"), "-w", str(path), text]
            subprocess.run(command, check=True, capture_output=True)
        else:
            command = ["flite", "-voice", voice, "-t", text, "-o", str(path)]
            subprocess.run(command, check=True, capture_output=True)
        with wave.open(str(path)) as file:
            rate = file.getframerate()
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float64)
    if rate != 16000:
        samples = resample_poly(samples, 16000, rate)
    return np.clip(samples, -32768, 32767).astype(np.int16)


def telephone(pcm: Pcm) -> Pcm:
    """Send speech through a narrow-band telephone: 300-3400 Hz, 8 kHz, mu-law (ITU-T G.711)."""
    narrow = resample_poly(pcm.astype(np.float64) / 32768, 1, 2)
    narrow = sosfiltfilt(butter(4, (300, 3400), "bandpass", fs=8000, output="sos"), narrow)
    narrow = np.clip(narrow, -1, 1)
    coded = np.round(np.sign(narrow) * np.log1p(255 * np.abs(narrow)) / np.log(256) * 127) / 127
    heard = np.sign(coded) * (np.power(256, np.abs(coded)) - 1) / 255
    return np.clip(resample_poly(heard, 2, 1) * 32768, -32768, 32767).astype(np.int16)


def decoder(**settings: Any) -> Any:
    import pocketsphinx

    model = Path(pocketsphinx.get_model_path()) / "en-us"
    return pocketsphinx.Decoder(
        pocketsphinx.Config(
            hmm=str(model / "en-us"),
            lm=str(model / "en-us.lm.bin"),
            dict=str(model / "cmudict-en-us.dict"),
            cmn="batch",
            loglevel="FATAL",
            **settings,
        )
    )


def cepstra(clips: list[Pcm]) -> list[NDArray[np.float64]]:
    """Return each clip's features as the decoder itself computes them, shape (frames, 13)."""
    with tempfile.TemporaryDirectory() as folder:
        engine = decoder(mfclogdir=folder)
        for pcm in clips:
            engine.start_utt()
            engine.process_raw(pcm.tobytes(), no_search=True, full_utt=True)
            engine.end_utt()
        del engine  # closes the last file
        found = []
        for path in sorted(Path(folder).iterdir()):
            data = path.read_bytes()
            order = "<" if int.from_bytes(data[:4], "little") == (len(data) - 4) // 4 else ">"
            found.append(np.frombuffer(data[4:], f"{order}f4").reshape(-1, CEPSTRA).astype(float))
    return found


def slope(frames: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the decoder's delta features: the difference over two frames to either side."""
    edge = np.zeros((2, CEPSTRA))
    return np.vstack([edge, frames[4:] - frames[:-4], edge])


def pairs(
    wide: list[NDArray[np.float64]], narrow: list[NDArray[np.float64]]
) -> Iterator[tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]]]:
    """Yield the three streams (cepstra, delta, delta-delta) of the same moments, both bands."""
    for before, after in zip(wide, narrow, strict=True):
        length = min(len(before), len(after))
        if length <= 8:
            continue
        x, y = before[:length], after[:length]
        speech = x[:, 0] > np.percentile(x[:, 0], QUIETEST)
        x, y = x - x.mean(0), y - y.mean(0)
        yield (
            [stream[speech] for stream in (x, slope(x), slope(slope(x)))],
            [stream[speech] for stream in (y, slope(y), slope(slope(y)))],
        )


def learn(sentences: list[str]) -> str:
    """Return the adaptation in pocketsphinx's MLLR text format."""
    wide: list[list[NDArray[np.float64]]] = [[], [], []]
    narrow: list[list[NDArray[np.float64]]] = [[], [], []]
    for voice in TRAIN:
        clips = [speak(voice, text) for text in sentences]
        for xs, ys in pairs(cepstra(clips), cepstra([telephone(pcm) for pcm in clips])):
            for stream in range(3):
                wide[stream].append(xs[stream])
                narrow[stream].append(ys[stream])
    lines = ["1", "3"]  # one class, three streams
    for stream in range(3):
        x, y = np.vstack(wide[stream]), np.vstack(narrow[stream])
        design = np.hstack([x, np.ones((len(x), 1))])
        weights = np.linalg.lstsq(design, y, rcond=None)[0]
        # the mean is removed from cepstra only; deltas have none to shift
        shift = weights[CEPSTRA] if stream == 0 else np.zeros(CEPSTRA)
        ratio = np.clip(y.var(0) / x.var(0), *VARIANCE)
        lines.append(str(CEPSTRA))
        for row in (*weights[:CEPSTRA].T, shift, ratio):
            lines.append(" ".join(f"{value:.6f}" for value in row))
        left = 1 - (y - design @ weights).var(0) / y.var(0)
        print(f"stream {stream}: {len(x)} frames, R2 {left.mean():.2f}", flush=True)
    return "\n".join(lines) + "\n"


def word_error(engine: Any, voice: str, sentences: list[str]) -> float:
    """Return the share of wrong words on a voice through the telephone."""
    import jiwer

    heard = []
    for text in sentences:
        engine.start_utt()
        engine.process_raw(telephone(speak(voice, text)).tobytes(), full_utt=True)
        engine.end_utt()
        said = engine.hyp()
        words = said.hypstr.split() if said else []
        heard.append(" ".join(word.split("(")[0] for word in words))
    return float(jiwer.wer(sentences, heard))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    text = learn((HERE / "texts/telephone_train.txt").read_text().split("\n")[:-1])
    out.write_text(text)
    print(f"{out}: {len(text)} bytes, sha256 {hashlib.sha256(text.encode()).hexdigest()}")
    unseen = (HERE / "texts/telephone_heldout.txt").read_text().split("\n")[:-1]
    for label, engine in (("before", decoder()), ("after", decoder(mllr=str(out)))):
        for voice in HELD_OUT:
            wer = word_error(engine, voice, unseen)
            print(f"{label}: {voice} telephone WER {wer:.1%} ({len(unseen)} sentences)", flush=True)


if __name__ == "__main__":
    main()
