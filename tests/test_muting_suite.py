"""`evaluate redaction --audio`: real voices where they are at hand, made-up ones where not."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
from command import run
from recordings import wav

from voice_pipeline.errors import BadInput
from voice_pipeline.metrics import muting

VOICES = Path(__file__).parents[2] / "shared/data/speech/alphanumeric"


@pytest.fixture(scope="module")
def hums(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten 'digits' of one speaker: hums of a third of a second inside a second of silence."""
    folder = tmp_path_factory.mktemp("hums")
    at = np.arange(5600) / 16000
    for number, word in enumerate(muting.NUMERALS):
        hum = np.zeros(16000)
        hum[4000:9600] = 0.3 * np.sin(2 * np.pi * (150 + 20 * number) * at)
        (folder / word).mkdir()
        (folder / word / "ann_0.wav").write_bytes(wav((hum * 32767).astype(np.int16)[None]))
    return folder


def test_truth_is_exact(hums: Path) -> None:
    """Each digit sounds where the strung call says, and there alone outside the phrases."""
    call = muting.string(muting.CALLS[0], muting.read_digits(hums), random.Random(1))
    assert len(call.digits) == 19
    for digit in call.digits:
        assert digit.end - digit.start == pytest.approx(0.35, abs=0.03)
        inside = call.samples[1, round(digit.start * 16000) : round(digit.end * 16000)]
        assert np.sqrt(np.mean(inside.astype(float) ** 2)) > 1000
        before = call.samples[1, round((digit.start - 0.03) * 16000) : round(digit.start * 16000)]
        assert np.sqrt(np.mean(before.astype(float) ** 2)) < 600
    assert call.samples.all()  # no zero of its own: what is zero is muted


def test_unmuted_digits_are_audible_and_muted_ones_are_not(hums: Path) -> None:
    """The listener counts every digit of an untouched call, and none of a silent one."""
    call = muting.string(muting.CALLS[1], muting.read_digits(hums), random.Random(2))
    assert len(muting.audible(call, call.samples)) == len(call.digits)
    assert muting.audible(call, np.zeros_like(call.samples)) == []
    nearly = np.zeros_like(call.samples)
    first = call.digits[0].steps[0] * 160
    nearly[1, first : first + 320] = 5
    assert muting.audible(call, nearly) == []  # 20 ms are not more than 20 ms
    nearly[1, first : first + 480] = 5
    assert len(muting.audible(call, nearly)) == 1


def test_simpler_ways_to_mute_leave_more(hums: Path) -> None:
    """The baselines run on the same calls, and pads make each of them leak less."""
    report = muting.evaluate(hums, least=60)
    left = {row["muting"]: row["audible"] for row in report.rows}
    assert left["each word, pad 0 ms"] > left["run, pad 0 ms"] >= left["run, pad 250 ms"]
    assert left["ours"] == 0
    figures = {figure.name: figure for figure in report.figures}
    assert figures["ours.bit_check"].value == 1.0
    assert figures["ours.digits_audible"].n >= 60


def test_a_folder_without_digits_is_refused(tmp_path: Path) -> None:
    """A missing recording is bad input, with the digit's name."""
    with pytest.raises(BadInput, match="zero"):
        muting.evaluate(tmp_path)


def test_the_command_prints_it(hums: Path) -> None:
    """`evaluate redaction --audio DIR` needs no --data; without either it says what to give."""
    done = run("evaluate", "redaction", "--audio", hums, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["suite"] == "redaction audio"
    nothing = run("evaluate", "redaction")
    assert nothing.returncode == 3
    assert "--data" in nothing.stderr


@pytest.mark.skipif(not VOICES.is_dir(), reason="no real digits: shared/data/speech is absent")
def test_no_digit_of_a_real_voice_stays_audible() -> None:
    """Of 300 digits by real speakers, with times as wrong as recognizers', none sounds 20 ms."""
    report = muting.evaluate(VOICES)
    figures = {figure.name: figure for figure in report.figures}
    assert figures["ours.digits_audible"].n >= 300
    assert figures["ours.digits_audible"].value == 0.0
    assert figures["ours.bit_check"].value == 1.0
