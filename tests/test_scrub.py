"""File names and metadata values: what is filed under stays, what is personal goes."""

from __future__ import annotations

import pytest
from command import SAMPLES

from voice_pipeline.intake import scrub_name
from voice_pipeline.redactors import build_redactor
from voice_pipeline.scrub import Scrubber

SCRUB = Scrubber(build_redactor("balanced"))


@pytest.mark.parametrize(
    "name",
    [
        "call_2026-11-24_0612",
        "call-2026-11-24T0930",
        "rec 0042",
        *sorted(p.stem for p in SAMPLES.glob("audio/*.*")),
    ],
)
def test_plain_file_names_stay(name: str) -> None:
    """Dates, counts and topics in a file name are no personal data."""
    assert SCRUB(name, False) == name


@pytest.mark.parametrize(
    "name", ["4111111111111111", "lost parcel mrs whitcombe", "jane doe 555-012-3222"]
)
def test_personal_file_names_go(name: str) -> None:
    """A card, a name or a telephone number in a file name does not reach the result."""
    left = SCRUB(name, False)
    assert "[" in left
    assert not set(name.split()[-1:]) & set(left.split())


def test_an_identifier_keeps_all_but_payment_data() -> None:
    """What the operator files under stays as it is, cards excepted."""
    assert SCRUB("CRM-20261124-77", True) == "CRM-20261124-77"
    assert "4111" not in SCRUB("4111 1111 1111 1111", True)


@pytest.mark.parametrize(
    "name",
    [
        "20261124-0930.wav",
        "2026-11-24_09-30-15.wav",
        "rec_20261124093015.wav",
        "call-20261124-093000-agent7.wav",
        "ast-1732441815.771-in.wav",
        "5c1f2d3e-9a7b-4c11-8a77-1f2e3d4c5b6a.mp3",
        "20261124_093015.wav",
    ],
)
def test_the_stamps_of_recorders_stay(name: str) -> None:
    """A call is found again by when it was recorded; that is nobody's telephone number."""
    assert scrub_name(name, SCRUB) == name


@pytest.mark.parametrize(
    ("name", "gone", "left"),
    [
        ("20261124_093015_5551234567.wav", "5551234567", "20261124_093015"),
        ("q-billing-1-4155550123-20261124-093015-1732441815.12.wav", "4155550123", "20261124"),
        ("jane doe 19840501.wav", "19840501", ".wav"),
        ("dob 20019931.wav", "20019931", ".wav"),
        ("card 4111111111111111 20261124.wav", "4111111111111111", "20261124"),
    ],
)
def test_what_stands_beside_a_stamp_is_read(name: str, gone: str, left: str) -> None:
    """A number beside the stamp, and a date that may be a birthday, go as before."""
    clean = scrub_name(name, SCRUB)
    assert gone not in clean
    assert left in clean
