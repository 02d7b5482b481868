"""File names and metadata values: what is filed under stays, what is personal goes."""

from __future__ import annotations

import pytest
from command import SAMPLES

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
