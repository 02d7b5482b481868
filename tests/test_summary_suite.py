"""How notes are measured: known ROUGE values, baselines, intervals by call."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from calls import transcript

from voice_pipeline.metrics import summary
from voice_pipeline.metrics.baselines import lead, textrank
from voice_pipeline.metrics.report import by_call, wilson
from voice_pipeline.metrics.rouge import rouge_l, rouge_n

UNSEEN = Path(__file__).with_name("calls_unseen")


def test_rouge_has_the_values_of_its_paper() -> None:
    """Lin 2004: `police kill the gunman` has ROUGE-L 3/4, `the gunman kill police` 2/4."""
    reference = "police killed the gunman".split()
    one, two = "police kill the gunman".split(), "the gunman kill police".split()
    assert rouge_l(one, reference) == 0.75 and rouge_l(two, reference) == 0.5
    assert rouge_n(one, reference, 2) == rouge_n(two, reference, 2) == pytest.approx(1 / 3)
    assert rouge_n(one, reference, 1) == 0.75
    assert rouge_l(reference, reference) == rouge_n(reference, reference, 2) == 1.0
    assert rouge_l([], reference) == rouge_n(["a"], ["a"], 2) == 0.0


def test_repeating_a_word_earns_nothing() -> None:
    """A word counts as often as the reference has it."""
    assert rouge_n(["the"] * 9, ["the", "cat"], 1) == pytest.approx(2 / 11)


def test_baselines_are_what_their_names_say() -> None:
    """The first three turns; the sentences that others share most words with, in spoken order."""
    call = transcript(
        [
            "agent: good morning",
            "customer: the red parcel for my sister is lost",
            "agent: lovely weather",
            "customer: my sister needs the red parcel on friday",
            "agent: where is the red parcel of the sister",
            "customer: bye",
        ]
    )
    assert lead(call) == "good morning the red parcel for my sister is lost lovely weather"
    assert textrank(call) == (
        "the red parcel for my sister is lost my sister needs the red parcel on friday "
        "where is the red parcel of the sister"
    )
    assert textrank(transcript([])) == lead(transcript([])) == ""


def test_an_interval_by_call_is_wider_than_one_by_fact() -> None:
    """Ten facts of one call are one caller; at 0 and 1 the calls count, not the facts."""
    figure = by_call("f", [(10, 10), (0, 10), (10, 10), (0, 10)], "facts")
    low, high = wilson(20, 40)
    assert (figure.value, figure.n) == (0.5, 40)
    assert figure.low is not None and figure.low < low
    assert figure.high is not None and figure.high > high
    sure = by_call("f", [(10, 10), (0, 0), (10, 10)], "facts")
    assert (sure.value, sure.low, sure.high) == (1.0, *wilson(2, 2))
    assert by_call("f", [], "facts").value == 0.0


@pytest.mark.parametrize("half", ["open", "closed"])
def test_figures_on_calls_that_were_unseen_once(half: str) -> None:
    """A regression alarm: in-sample by now; docs/figures.md has what they said when unseen."""
    figures = {figure.name: figure for figure in summary.evaluate(UNSEEN / half).figures}
    assert figures["required facts found"].value >= 0.9
    assert figures["claims with verified evidence"].value == 1.0
    assert figures["must-not statements made"].value == 0.0
    assert figures["outcome right"].value >= 0.75
    assert (
        figures["required facts found, summary alone"].value
        > figures["required facts found, TextRank"].value
    )
    assert all(figure.low is not None and figure.high is not None for figure in figures.values())


def test_labels_of_the_unseen_calls_name_what_exists() -> None:
    """A misspelt category or type would make a figure wrong without anyone noticing."""
    from voice_pipeline.policy.load import load_pack

    pack = load_pack()
    categories = {rule.category for rule in pack.rules}
    for half in ("open", "closed"):
        for line in (UNSEEN / half / "truth.jsonl").read_text("utf-8").splitlines():
            call = json.loads(line)
            assert set(call["flags"]) <= categories, call["id"]
            assert pack.kind(call["request_type"]), call["id"]
            said = " ".join(turn["text"].lower() for turn in call["turns"])
            for fact in call["facts"]:
                assert any(phrase.split()[0] in said for phrase in fact["any"]), call["id"]
