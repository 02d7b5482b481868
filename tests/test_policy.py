"""Policy packs: the shipped one holds, and every mistake in a copy is named by file and line."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from voice_pipeline.errors import Misconfigured
from voice_pipeline.policy.check import check
from voice_pipeline.policy.load import DEFAULT, load_pack

CATEGORIES = frozenset(
    """complaint cancellation refund_over_limit vulnerable_customer safety_of_life privacy_request
    do_not_contact recording_objection fraud legal_threat discrimination agent_conduct
    supervisor_requested repeat_contact callback_promised missed_commitment unresolved
    unclear_intent low_confidence instruction_like_speech""".split()
)
REQUEST_TYPES = frozenset(
    """billing_dispute refund delivery_problem cancellation claim account_access account_change
    technical_problem payment information complaint fraud privacy_request legal other""".split()
)


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DEFAULT, tmp_path / "pack"))


def change(path: Path, edit: Callable[[str], str]) -> None:
    before = path.read_text("utf-8")
    after = edit(before)
    assert after != before, "the edit changed nothing"
    path.write_text(after, "utf-8")


def test_the_shipped_pack_is_sound() -> None:
    """It loads, and no rule fails its own examples."""
    assert check(DEFAULT) == []


def test_the_shipped_pack_knows_the_published_names() -> None:
    """Integrations rely on these categories and request types."""
    pack = load_pack()
    assert {rule.category for rule in pack.rules} == CATEGORIES
    assert {kind.label for kind in pack.taxonomy.request_types} == REQUEST_TYPES
    assert pack.thresholds.refund_limit == 200
    assert pack.retention.raw_audio_days == 7


def test_every_rule_shows_what_it_does_and_does_not() -> None:
    """A rule is documented by calls that fire it and calls that must not."""
    for rule in load_pack().rules:
        assert rule.examples.match, rule.id
        assert rule.examples.no_match, rule.id


def test_any_changed_byte_is_another_pack(pack: Path) -> None:
    """The hash covers every file, text files included."""
    before = load_pack(pack).sha256
    (pack / "README.md").write_text("a word to my successor")
    assert load_pack(pack).sha256 != before


@pytest.mark.parametrize(
    ("file", "edit", "line_of", "says"),
    [
        (
            "rules/risk.yaml",
            lambda text: text.replace("- fraud_words\n", "- fraud_wrods\n", 1),
            "fraud_wrods",
            "did you mean fraud_words",
        ),
        (
            "rules/customers.yaml",
            lambda text: text.replace("refund_amount > refund_limit", "refund_amount > outcome"),
            "refund_amount > outcome",
            "is not an expression",
        ),
        (
            "rules/risk.yaml",
            lambda text: text.replace("severity: critical", "severity: dreadful", 1),
            "severity: dreadful",
            "severity",
        ),
        (
            "rules/risk.yaml",
            lambda text: text.replace("  why: Somebody", "  whyy: Somebody", 1),
            "whyy",
            "unknown key",
        ),
        (
            "rules/customers.yaml",
            lambda text: text.replace("{refund_amount}", "{refund_amout}", 1),
            "refund_amout",
            "no fact is called",
        ),
        (
            "rules/risk.yaml",
            lambda text: text.replace("queue: fraud", "queue: frauds", 1),
            "queue: frauds",
            "no queue is called frauds",
        ),
        (
            "thresholds.yaml",
            lambda text: text.replace("refund_limit: 200", "refund_limit: -1"),
            "refund_limit: -1",
            "refund_limit",
        ),
        (
            "thresholds.yaml",
            lambda text: text + "refund_limt: 3\n",
            "refund_limt",
            "unknown key",
        ),
        (
            "retention.yaml",
            lambda text: text + "raw_audio_days: 9\n",
            None,
            "set twice",
        ),
        (
            "notify.yaml",
            lambda text: text.replace("up: duty manager", "up: duty manger", 1),
            "up: duty manger",
            "no owner is called 'duty manger'",
        ),
        (
            "notify.yaml",
            lambda text: text.replace(
                "duty manager: {up: service", "duty manager: {up: fraud"
            ).replace("up: fraud manager", "up: fraud team lead"),
            "  fraud team lead:",
            "comes again above itself",
        ),
        (
            "notify.yaml",
            lambda text: text.replace("zone: UTC", "zone: Europe/Lodnon"),
            "Europe/Lodnon",
            "no time zone",
        ),
        (
            "notify.yaml",
            lambda text: text.replace('to: "08:00"', 'to: "20:00"'),
            "quiet:",
            "nobody would ever be told",
        ),
        (
            "notify.yaml",
            lambda text: text.replace("repeat_every: 4 hours", "repeat_every: often"),
            "repeat_every: often",
            "number of minutes, hours or days",
        ),
        (
            "notify.yaml",
            lambda text: text.replace("[safety_of_life, fraud]", "[safety_of_lief]"),
            "at_any_hour: [safety_of_lief",
            "no rule raises safety_of_lief",
        ),
        (
            "notify.yaml",
            lambda text: text.replace("fallback: service manager", "fallback: somebody"),
            "fallback: somebody",
            "no owner is called 'somebody'",
        ),
        (
            "notify.yaml",
            lambda text: text.replace("holidays: []", "holidays: [christmas]"),
            "holidays: [christmas]",
            "is no date",
        ),
        (
            "taxonomy.yaml",
            lambda text: text.replace("queue: retention", "queue: nowhere", 1),
            "queue: nowhere",
            "no queue is called nowhere",
        ),
        (
            "signals/fraud.yaml",
            lambda text: text.replace("    - fraud*\n", "    - (fraud*)\n", 1),
            "(fraud*)",
            "no word that must be there",
        ),
    ],
)
def test_a_mistake_is_named_with_its_line(
    pack: Path, file: str, edit: Callable[[str], str], line_of: str | None, says: str
) -> None:
    """Whoever edits a pack learns file, line and what is wrong; a typo switches no rule off."""
    change(pack / file, edit)
    faults = [str(fault) for fault in check(pack)]
    (fault,) = [fault for fault in faults if says in fault]
    where = re.fullmatch(r"(.+):(\d+): .+", fault)
    assert where and where[1].endswith(file)
    if line_of:
        lines = (pack / file).read_text("utf-8").splitlines()
        assert line_of in lines[int(where[2]) - 1]
    with pytest.raises(Misconfigured, match="cannot be used"):
        load_pack(pack)


def test_a_rule_cannot_name_somebody_whom_nobody_knows(pack: Path) -> None:
    """Without a fallback a misspelt name would be a notice that reaches nobody."""
    change(pack / "notify.yaml", lambda text: text.replace("fallback: service manager", ""))
    assert check(pack) == []
    change(pack / "rules" / "risk.yaml", lambda t: t.replace("- legal counsel", "- legal cousel"))
    (fault,) = check(pack)
    assert "notify.yaml knows no 'legal cousel'" in fault.message
    lines = (pack / "rules" / "risk.yaml").read_text("utf-8").splitlines()
    assert "legal cousel" in lines[fault.line - 1]


def test_a_pack_without_notify_tells_nobody(pack: Path) -> None:
    """Packs of earlier releases load as they are; danger to life would not wait either."""
    (pack / "notify.yaml").unlink()
    notify = load_pack(pack).notify
    assert not notify.reaches and notify.ignores_quiet("safety_of_life")


def test_a_rule_that_fails_its_own_example_is_a_fault(pack: Path) -> None:
    """Examples are tests: they run when the pack is loaded."""
    change(
        pack / "rules/risk.yaml",
        lambda text: text.replace("somebody has hacked into my account", "lovely weather today"),
    )
    (fault,) = check(pack)
    assert "fraud does not fire on its match example 3" in str(fault)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("a: &x 1\nb: *x\n", "anchors"),
        ("a: [1\n", "is not YAML"),
        ("- not a mapping\n", "file"),
        ("", "file"),
    ],
)
def test_broken_yaml_is_one_line_not_a_traceback(pack: Path, content: str, says: str) -> None:
    """Whatever stands in a file, the answer is a fault."""
    (pack / "retention.yaml").write_text(content)
    assert any(says in str(fault) for fault in check(pack))


def test_files_that_nobody_reads_are_faults(pack: Path) -> None:
    """A rule in a misnamed folder would silently not exist."""
    (pack / "rule").mkdir()
    shutil.copy(pack / "rules/risk.yaml", pack / "rule/risk.yaml")
    assert any("no part of a pack" in str(fault) for fault in check(pack))


def test_a_missing_pack_says_so(tmp_path: Path) -> None:
    """A wrong path is a setting to correct."""
    with pytest.raises(Misconfigured, match="no policy pack"):
        load_pack(tmp_path / "nowhere")
    assert check(tmp_path / "nowhere")


def test_binary_files_are_refused(pack: Path) -> None:
    """Not UTF-8 is not a pack file."""
    (pack / "rules/risk.yaml").write_bytes(b"\xff\xfe\x00")
    assert any("UTF-8" in str(fault) for fault in check(pack))
