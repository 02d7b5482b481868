"""Connectors keep the contract; the folder connector is whole or not there."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from voice_pipeline.connectors.folder import Options, create
from voice_pipeline.errors import Misconfigured, Permanent
from voice_pipeline.testing import connector_contract, parcel


def test_folder_keeps_the_contract(tmp_path: Path) -> None:
    """One file a key, found again by another process."""
    connector_contract(lambda: create(Options(path=tmp_path / "notes")))
    assert len(list((tmp_path / "notes").iterdir())) == 2


def test_two_writers_of_one_key_make_one_file(tmp_path: Path) -> None:
    """Whoever is second gets the receipt of the first."""
    with ThreadPoolExecutor(8) as pool:
        receipts = list(
            pool.map(lambda _: create(Options(path=tmp_path)).deliver(parcel("k")), range(16))
        )
    assert len({receipt.external_id for receipt in receipts}) == 1
    (file,) = tmp_path.iterdir()
    assert json.loads(file.read_text())["key"] == "k"


def test_lines_keep_the_contract(tmp_path: Path) -> None:
    """A warehouse reads one file a day, a line a revision, none twice."""
    connector_contract(lambda: create(Options(path=tmp_path, form="lines")))
    (file,) = tmp_path.glob("*.jsonl")
    assert [json.loads(line)["key"] for line in file.read_text().splitlines()] == [
        "contract-1", "contract-2",
    ]  # fmt: skip


def test_half_a_line_of_a_killed_process_is_taken_away(tmp_path: Path) -> None:
    """What was cut off is written again whole; readers never see two lines in one."""
    target = create(Options(path=tmp_path, form="lines"))
    target.deliver(parcel("first"))
    (file,) = tmp_path.glob("*.jsonl")
    with file.open("ab") as lines:
        lines.write(b'{"key": "second", "deliv')
    receipt = target.deliver(parcel("second", first_try=False))
    assert receipt.external_id.endswith(":2")
    assert [json.loads(line)["key"] for line in file.read_text().splitlines()] == [
        "first", "second",
    ]  # fmt: skip


def test_many_writers_of_lines_lose_none(tmp_path: Path) -> None:
    """Two processes may add to one file at once."""
    with ThreadPoolExecutor(8) as pool:
        keys = [f"k{n}" for n in range(64)]
        receipts = list(
            pool.map(
                lambda key: create(Options(path=tmp_path, form="lines")).deliver(parcel(key)), keys
            )
        )
    (file,) = tmp_path.glob("*.jsonl")
    assert sorted(json.loads(line)["key"] for line in file.read_text().splitlines()) == sorted(keys)
    assert len({receipt.external_id for receipt in receipts}) == 64


def test_a_test_file_is_taken_away_and_a_line_says_that_it_stays(tmp_path: Path) -> None:
    """`targets test` leaves nothing behind, or says what it left."""
    target = create(Options(path=tmp_path))
    target.remove(target.deliver(parcel("k", test=True)))
    assert not list(tmp_path.iterdir())
    lines = create(Options(path=tmp_path, form="lines"))
    with pytest.raises(Permanent, match=r"jsonl:1"):
        lines.remove(lines.deliver(parcel("k", test=True)))


def test_a_place_that_is_no_folder_is_said(tmp_path: Path) -> None:
    """A file in the way is misconfiguration, with the path in the message."""
    (tmp_path / "file").write_text("x")
    target = create(Options(path=tmp_path / "file" / "notes"))
    with pytest.raises(Misconfigured, match="file"):
        target.deliver(parcel("k"))
    assert not target.check()[0].good
