"""The catalogue: what may be loaded, and who vouched for it."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import pytest

from voice_pipeline import catalogue
from voice_pipeline.errors import Misconfigured


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A complete model folder, invented bytes."""
    place = tmp_path / "whisper-tiny"
    place.mkdir()
    for file in catalogue.model("whisper-tiny").files:
        (place / file).write_text(file)
    return tmp_path


def pin(models: Path, **changed: str) -> None:
    lines = [
        f"{changed.get(path.stem) or hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}"
        for path in sorted((models / "whisper-tiny").iterdir())
    ]
    (models / "whisper-tiny" / catalogue.PINS).write_text("\n".join(lines) + "\n")


def test_every_entry_is_whole() -> None:
    """Every model names its licence, its card and what its absence costs."""
    for entry in catalogue.models():
        assert entry.licence
        assert entry.without
        assert (catalogue.home() / "cards" / entry.card).is_file(), entry.card
        assert entry.source or entry.hub
        assert all(len(value) in (0, 64) for value in entry.files.values())


def test_our_artefacts_are_the_ones_we_made() -> None:
    """Every artefact of ours lies there with the hash of the catalogue, and nothing else does."""
    ours = [entry for entry in catalogue.models() if entry.kind == "artefact"]
    for entry in ours:
        assert catalogue.verify(entry.name).ok
        assert catalogue.place(entry.name).is_dir()
    listed = {file for entry in ours for file in entry.files}
    assert {path.name for path in (catalogue.home() / "artefacts").iterdir()} == listed


def test_the_bundled_model_is_the_one_we_measured() -> None:
    """pocketsphinx's own model has the hashes under which its figures were measured."""
    assert catalogue.verify("pocketsphinx-en-us").ok


def test_an_unpinned_folder_is_not_verified(folder: Path) -> None:
    """Files alone are not enough: somebody has to vouch for their bytes."""
    assert catalogue.present("whisper-tiny", folder)
    verdict = catalogue.verify("whisper-tiny", folder)
    assert not verdict.ok
    assert verdict.unpinned
    assert "sha256sum" in verdict.detail
    pin(folder)
    assert catalogue.verify("whisper-tiny", folder).ok


def test_other_bytes_than_pinned_are_refused(folder: Path) -> None:
    """A model that changed after it was pinned is not loaded."""
    pin(folder, model="0" * 64)
    verdict = catalogue.verify("whisper-tiny", folder)
    assert not verdict.ok
    assert "model.bin" in verdict.detail


def test_a_pin_cannot_bless_what_we_know_to_be_wrong(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the catalogue knows a hash, the operator's file does not outrank it."""
    pin(folder)
    entry = catalogue.model("whisper-tiny")
    known = dataclasses.replace(entry, files={**entry.files, "model.bin": "0" * 64})
    monkeypatch.setattr(catalogue, "models", lambda: (known,))
    assert not catalogue.verify("whisper-tiny", folder).ok


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    """An absent model says how to get it; an unknown one what there is."""
    verdict = catalogue.verify("whisper-small", tmp_path)
    assert "models pull whisper-small" in verdict.detail
    with pytest.raises(Misconfigured, match="whisper-small"):
        catalogue.model("whisper-huge")
    with pytest.raises(Misconfigured):
        catalogue.artefact("whisper-small")


def test_junk_in_the_pins_is_an_error(folder: Path) -> None:
    """A hash file that cannot be read is named with its line."""
    (folder / "whisper-tiny" / catalogue.PINS).write_text("not a hash\n")
    with pytest.raises(Misconfigured, match="SHA256SUMS:1"):
        catalogue.verify("whisper-tiny", folder)


# ---------------------------------------------------------------- folders that were tampered with


def test_a_further_file_is_a_fault(folder: Path) -> None:
    """A loader may take what nobody pinned; hidden files are no model's."""
    pin(folder)
    (folder / "whisper-tiny" / ".lock").write_text("")
    assert catalogue.verify("whisper-tiny", folder).ok
    (folder / "whisper-tiny" / "preprocessor_config.json").write_text("{}")
    verdict = catalogue.verify("whisper-tiny", folder)
    assert not verdict.ok
    assert "preprocessor_config.json" in verdict.detail


def test_a_pinned_file_that_is_gone_is_a_fault(folder: Path) -> None:
    """Also one that the catalogue does not name."""
    (folder / "whisper-tiny" / "more.json").write_text("{}")
    pin(folder)
    assert catalogue.verify("whisper-tiny", folder).ok
    (folder / "whisper-tiny" / "more.json").unlink()
    assert "more.json" in catalogue.verify("whisper-tiny", folder).detail


def test_links_out_of_the_folder_are_faults(folder: Path, tmp_path: Path) -> None:
    """The right bytes today may be others tomorrow, where nobody looks."""
    pin(folder)
    model = folder / "whisper-tiny" / "model.bin"
    model.rename(tmp_path / "elsewhere.bin")
    model.symlink_to(tmp_path / "elsewhere.bin")
    verdict = catalogue.verify("whisper-tiny", folder)
    assert not verdict.ok
    assert "link" in verdict.detail


def test_half_a_folder_says_what_is_missing(folder: Path) -> None:
    """The names of the files that a broken copy lacks."""
    (folder / "whisper-tiny" / "model.bin").unlink()
    detail = catalogue.verify("whisper-tiny", folder).detail
    assert "model.bin missing" in detail
    assert "models pull whisper-tiny" in detail


def test_names_stay_inside_their_folder() -> None:
    """In the catalogue and in hash files, on every system."""
    assert all(map(catalogue.is_inside, ("a", "a/b.bin", "a.b-c_d")))
    outside = ("", "/a", "../a", "a/../../b", "a\\b", "C:x", "a\0b")
    assert not any(map(catalogue.is_inside, outside))


def test_hash_files_may_not_name_other_folders(folder: Path) -> None:
    """A pin of `../other` is refused with its line."""
    (folder / "whisper-tiny" / catalogue.PINS).write_text(f"{'0' * 64}  ../model.bin\n")
    with pytest.raises(Misconfigured, match="SHA256SUMS:1"):
        catalogue.verify("whisper-tiny", folder)
