"""What real callers say: 150 labelled utterances of a public data set, where it is at hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from natcs import DATA, truth

from voice_pipeline.metrics.redaction import evaluate

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the NatCS utterances are not here")


def test_little_leaks_and_little_else_is_covered(tmp_path: Path) -> None:
    """Of real utterances at most 4 % of sensitive and 3 % of other characters go wrong."""
    (tmp_path / "truth.jsonl").write_text("".join(json.dumps(row) + "\n" for row in truth()))
    report = evaluate(tmp_path, beside=False)
    figures = {figure.name: figure.value for figure in report.figures}
    assert report.calls == 150
    assert figures["ours.leak"] <= 0.04
    assert figures["ours.over_redaction"] <= 0.03
    assert figures["ours.clean_flagged"] <= 0.04
