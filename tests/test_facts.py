"""What is known of recordings beside them: tables, names, sidecars."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_pipeline.errors import BadInput
from voice_pipeline.ways_in.facts import NamePattern, flat_json, read_csv

PATTERN = "{call_ref}_{agent}_{started_at:%Y%m%d-%H%M%S}"
WORD = st.text("abcXYZ0189-.", min_size=1, max_size=12).filter(lambda t: t.strip(".-"))


@given(WORD, WORD, st.datetimes(datetime(1000, 1, 1), datetime(9999, 1, 1)))
def test_a_name_is_read_as_it_was_made(call: str, agent: str, at: datetime) -> None:
    """Whatever a recorder writes into a name by the pattern comes out of it again."""
    at = at.replace(microsecond=0)
    name = f"{call}_{agent}_{at:%Y%m%d-%H%M%S}.wav"
    found = NamePattern(PATTERN).read(name)
    assert found == {"call_ref": call, "agent": agent, "started_at": at.isoformat()}


@pytest.mark.parametrize(
    "name", ["c1_a7.wav", "c1_a7_20261301-093000.wav", "c1_a7_x_20261101-093000.wav", "", ".wav"]
)
def test_a_name_that_does_not_fit_is_said(name: str) -> None:
    """Nothing is guessed: a part too few or too many, or a time that there is not."""
    with pytest.raises(BadInput) as error:
        NamePattern(PATTERN).read(name)
    assert error.value.code == "pattern" and "c1" not in error.value.message


@pytest.mark.parametrize(
    "pattern",
    ["", "x", "{_}", "{a}{b}", "{a}_{a}", "{A}", "{a", "a}", "{a:%Y}", "{started_at:%Q}",
     "{started_at:x}", "{{a}}", "{started_at:%}"],
)  # fmt: skip
def test_a_pattern_that_is_none_is_refused(pattern: str) -> None:
    """A pattern that could be read in two ways is refused before the first file."""
    with pytest.raises(BadInput):
        NamePattern(pattern)


@given(st.text(max_size=200), st.text("{}:%YmdHMS_-ab.", max_size=40))
def test_no_name_and_no_pattern_brings_it_down(name: str, pattern: str) -> None:
    """Patterns and names that nobody meant end in a refusal, quickly."""
    try:
        NamePattern(pattern).read(name)
    except BadInput as error:
        assert error.code == "pattern"


def test_a_table_names_recordings_and_faults_by_line() -> None:
    """Good lines are good although others are not; each fault has its line."""
    table = (
        "\ufefffile,Agent,started_at\r\n"
        'a.wav,"Tom,\r\nB",2026-11-01T09:30\r\n'
        "b.wav,,\r\n"
        "\r\n"
        ",x,\r\n"
        "c.wav,x,yesterday\r\n"
        "a.wav,x,\r\n"
        "d.wav,x\r\n"
    )
    lines = read_csv(table.encode(), "calls.csv")
    assert [(line.number, line.file, line.fault is None) for line in lines] == [
        (2, "a.wav", True), (4, "b.wav", True), (6, "", False), (7, "c.wav", False),
        (8, "a.wav", False), (9, "d.wav", False),
    ]  # fmt: skip
    assert lines[0].metadata == {"agent": "Tom,\r\nB", "started_at": "2026-11-01T09:30"}
    assert lines[1].metadata == {}
    assert "yesterday" not in str(lines[3].fault)


@pytest.mark.parametrize(
    "data",
    [b"", b"name,agent\n", b"file,file\n", b"\xff\xfe", b'file,agent\na.wav,"x\n', b"file\n\x00"],
)
def test_a_table_that_is_none_is_refused(data: bytes) -> None:
    """No column for the file, a column twice, another encoding, open quotes."""
    try:
        lines = read_csv(data, "calls.csv")
    except BadInput as error:
        assert error.code == "manifest" and "calls.csv" in error.message
    else:
        assert data.endswith(b"\x00") and all(not line.metadata for line in lines)


@given(st.binary(max_size=200))
def test_no_bytes_bring_it_down(data: bytes) -> None:
    """Any bytes as a table or a sidecar are read or refused."""
    for read in (lambda d: read_csv(d, "x.csv"), flat_json):
        try:
            read(data)
        except BadInput as error:
            assert error.code in ("manifest", "meta")


def test_a_sidecar_is_flat() -> None:
    """Texts, numbers and truth values are taken; lists, twins and NaN are not."""
    assert flat_json(b'{"Agent": "a7", "n": 2, "vip": true, "x": null}') == {
        "agent": "a7", "n": "2", "vip": "true",
    }  # fmt: skip
    for bad in (b"[]", b'{"a": [1]}', b'{"a": 1, "A": 2}', b'{"a": NaN}', b"{", b"\xff"):
        with pytest.raises(BadInput):
            flat_json(bad)
