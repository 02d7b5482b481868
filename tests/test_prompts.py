"""Prompts are part of the policy pack: with id, version and hash, and refused when broken."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from voice_pipeline.policy.check import check
from voice_pipeline.policy.load import DEFAULT, load_pack


def pack_with(folder: Path, text: str, name: str = "note.md") -> Path:
    """Copy the shipped pack and write one prompt into it."""
    shutil.copytree(DEFAULT, folder / "pack")
    (folder / "pack" / "prompts" / name).write_text(text, "utf-8")
    return folder / "pack"


def test_a_prompt_has_id_version_and_hash() -> None:
    """What a note names as its prompt is found again by these."""
    prompt = load_pack().prompt("note")
    assert prompt and prompt.version >= 1 and len(prompt.sha256) == 64
    assert "$request_types" in prompt.text


def test_a_changed_prompt_is_another_pack(tmp_path: Path) -> None:
    """Plans and notes name the pack by its hash, so a prompt never changes unseen."""
    path = pack_with(tmp_path, "---\nid: note\nversion: 2\n---\nSay it shortly.\n")
    changed = load_pack(path)
    assert changed.sha256 != load_pack().sha256
    prompt = changed.prompt("note")
    assert prompt and (prompt.version, prompt.text) == (2, "Say it shortly.")


@pytest.mark.parametrize(
    ("text", "name", "says"),
    [
        ("no front matter", "note.md", "front matter"),
        ("---\nid: note\n---\ntext", "note.md", "version"),
        ("---\nid: note\nversion: 1\nmodel: x\n---\ntext", "note.md", "model"),
        ("---\nid: note\nversion: 1\n---\n", "note.md", "text"),
        ("---\nid: note\nversion: 1\n---\nuse $transcript", "note.md", "transcript is no slot"),
        ("---\nid: note\nversion: 1\n---\n5 $ each", "note.md", "is no slot"),
        ("---\nid: [\nversion: 1\n---\ntext", "note.md", "not YAML"),
        ("---\nid: note\nversion: 1\n---\ntext", "other.md", "defined twice"),
    ],
)
def test_a_broken_prompt_is_a_fault_with_its_file(
    tmp_path: Path, text: str, name: str, says: str
) -> None:
    """Found by `policy check`, not by the first call."""
    faults = [str(fault) for fault in check(pack_with(tmp_path, text, name))]
    assert any(says in fault and ".md:" in fault for fault in faults), faults
