"""Records survive JSON exactly, and what does not fit is refused."""

from __future__ import annotations

import dataclasses
import json
from datetime import date
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voice_pipeline import domain
from voice_pipeline.codec import KINDS, decode, encode
from voice_pipeline.errors import Permanent

JSON_KINDS = sorted(set(KINDS) - {"Segment", "Ref"})  # a segment is samples and never kept


def records(kind: type[Any]) -> st.SearchStrategy[Any]:
    """Any record of a kind, from its declared types."""
    text = st.text(max_size=8)
    st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))
    st.register_type_strategy(domain.Ref, st.builds(domain.Ref, call=text, kind=text, sha256=text))
    st.register_type_strategy(date, st.dates())
    return st.from_type(kind)


@pytest.mark.parametrize("name", ["Word", "Recording", "Transcript", "Verification", "Claim",
                                  "Commitment", "Redaction", "Received", "Route"])  # fmt: skip
def test_any_record_survives(name: str) -> None:
    """Writing and reading gives an equal record, whatever its values."""

    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    @given(record=records(KINDS[name]))
    def check(record: Any) -> None:
        assert decode(encode(record)) == record

    check()


def test_every_noun_has_a_place_in_the_codec() -> None:
    """A new noun cannot be forgotten: every dataclass of the domain is a kind."""
    nouns = {
        name
        for name in vars(domain)
        if dataclasses.is_dataclass(getattr(domain, name)) and not name.startswith("_")
    }
    assert nouns == set(KINDS)


def test_a_newer_record_is_refused() -> None:
    """An old release does not guess at what a newer one wrote."""
    document = json.loads(encode(domain.Warning("x")))
    document["v"] = 99
    with pytest.raises(Permanent) as raised:
        decode(json.dumps(document).encode())
    assert raised.value.code == "unreadable_record"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"kind":"Nothing","v":1,"data":{}}',
        b'{"kind":"Warning","v":1,"data":{"code":"x","more":1}}',
    ],
)
def test_what_does_not_fit_is_refused(data: bytes) -> None:
    """Junk, unknown kinds and unknown fields are errors with a code, never half a record."""
    with pytest.raises(Permanent):
        decode(data)


def test_not_a_number_is_refused() -> None:
    """NaN is no time: it must not get into a kept record."""
    with pytest.raises(ValueError, match="JSON"):
        encode(domain.Word("x", float("nan"), 1.0))
