"""Reads /metrics as Prometheus does."""

from __future__ import annotations

import httpx
from prometheus_client.parser import text_string_to_metric_families

Figures = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def figures(url: str) -> Figures:
    """Return {(name without our prefix, labels): value}."""
    answer = httpx.get(f"{url}/metrics", timeout=30)
    assert answer.status_code == 200, answer.text
    return {
        (sample.name.removeprefix("voice_pipeline_"), tuple(sorted(sample.labels.items()))):
            sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }  # fmt: skip
