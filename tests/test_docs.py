"""Documentation cannot rot: code blocks run, links lead somewhere, codes are listed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")),
         ROOT / "samples" / "README.md", ROOT / "redaction" / "README.md"]  # fmt: skip
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!http)([^)#]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_blocks_run(page: Path) -> None:
    """Every Python block of a page runs, one after the other, in a fresh process."""
    blocks = BLOCK.findall(page.read_text("utf-8"))
    if blocks:
        done = subprocess.run(
            [sys.executable, "-c", "\n".join(blocks)],
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=False,
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """A page that moved takes its links along."""
    broken = [
        link for link in LINK.findall(page.read_text("utf-8")) if not (page.parent / link).exists()
    ]
    assert not broken


def test_the_commands_of_the_readme_exist() -> None:
    """What the README tells people to type is there."""
    text = (ROOT / "README.md").read_text("utf-8")
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in set(re.findall(r"\bmake ([a-z-]+)", text)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    from typer.main import get_command

    from voice_pipeline.cli import app

    commands = get_command(app).commands  # type: ignore[attr-defined]
    for command in set(re.findall(r"^voice-pipeline ([a-z]+)", text, re.MULTILINE)):
        assert command in commands


CODE = re.compile(r'(?:code="|Warning\(\s*")([a-z_]+)"')


def test_every_code_is_explained() -> None:
    """Whoever meets a code finds what it means and what to do."""
    listed = set(
        re.findall(
            r"^\| `([a-z_:]+)`", (ROOT / "docs" / "codes.md").read_text("utf-8"), re.MULTILINE
        )
    )
    used = {
        code
        for path in (ROOT / "voice_pipeline").rglob("*.py")
        for code in CODE.findall(path.read_text("utf-8"))
    }
    assert used <= listed, sorted(used - listed)


def test_the_reference_is_current() -> None:
    """Commands, settings and rules in the docs are those of the code."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
