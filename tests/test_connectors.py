"""Connectors keep the contract; the folder connector is whole or not there."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from voice_pipeline.connectors.folder import Options, create
from voice_pipeline.errors import Misconfigured
from voice_pipeline.testing import connector_contract


def test_folder_keeps_the_contract(tmp_path: Path) -> None:
    """One file a key, found again by another process."""
    connector_contract(lambda: create(Options(path=tmp_path / "notes")))
    assert len(list((tmp_path / "notes").iterdir())) == 2


def test_two_writers_of_one_key_make_one_file(tmp_path: Path) -> None:
    """Whoever is second gets the receipt of the first."""
    with ThreadPoolExecutor(8) as pool:
        receipts = list(
            pool.map(
                lambda n: create(Options(path=tmp_path)).deliver("k", {"writer": n}), range(16)
            )
        )
    assert len({receipt.external_id for receipt in receipts}) == 1
    (file,) = tmp_path.iterdir()
    assert json.loads(file.read_text())["key"] == "k"


def test_a_place_that_is_no_folder_is_said(tmp_path: Path) -> None:
    """A file in the way is misconfiguration, with the path in the message."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(Misconfigured, match="file"):
        create(Options(path=tmp_path / "file" / "notes")).deliver("k", {})
