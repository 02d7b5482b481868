"""Sets written by people who had not seen the rules: what was reached on them is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from voice_pipeline.metrics.redaction import evaluate

HERE = Path(__file__).parent


@pytest.mark.parametrize(
    ("name", "leak", "over", "clean"),
    [
        ("fresh/banking", 0.035, 0.02, 4),
        ("fresh/services", 0.025, 0.025, 4),
        ("fresh/adversary", 0.06, 0.025, 10),
        ("fresh/mixed", 0.055, 0.03, 17),
        ("fresh/everyday", 0.04, 0.02, 7),
        ("fresh/plain", 0.01, 0.02, 4),
        ("fresh/harbour", 0.015, 0.015, 2),
        ("fresh/static", 0.065, 0.015, 2),
        ("fresh/quiet", 0.04, 0.015, 16),
        ("fresh/crackle", 0.17, 0.02, 5),
        ("fresh/lantern", 0.035, 0.015, 5),
        ("fresh/gravel", 0.08, 0.02, 7),
        ("fresh/willow", 0.035, 0.02, 5),
        ("fresh/slate", 0.07, 0.025, 6),
        ("fresh/ember", 0.045, 0.02, 5),
        ("fresh/drift", 0.055, 0.02, 7),
        ("names", 0.18, 0.02, 3),
    ],
)
def test_what_was_reached_is_kept(name: str, leak: float, over: float, clean: int) -> None:
    """Leak, over-redaction and flagged clean records stay at or below these bounds."""
    report = evaluate(HERE / name, beside=False)
    figures = {figure.name: figure for figure in report.figures}
    assert figures["ours.leak"].value <= leak
    assert figures["ours.over_redaction"].value <= over
    assert figures["ours.clean_flagged"].value * figures["ours.clean_flagged"].n <= clean
