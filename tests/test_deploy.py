"""What is handed to operators holds: alerts, units, compose and manifests fit this release."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from voice_pipeline.api.metrics import SUMS
from voice_pipeline.cli import app
from voice_pipeline.config import Settings, load_settings
from voice_pipeline.engine.queues import queue_names

DOCS = Path(__file__).parents[1] / "docs"
DEPLOY = DOCS / "deploy"
RULES = yaml.safe_load((DEPLOY / "alerts.yaml").read_text("utf-8"))["groups"][0]["rules"]
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
MANIFESTS = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text("utf-8")))
UNITS = sorted(DEPLOY.glob("*.service"))
CONTAINERFILES = sorted(DEPLOY.glob("Containerfile*"))
METRIC = re.compile(r"\bvoice_pipeline_[a-z_]+")


def listed_metrics() -> set[str]:
    """The metrics of docs/operations.md; test_seeing.py compares them with a running service."""
    page = (DOCS / "operations.md").read_text("utf-8")
    found = set(re.findall(r"^\| `(voice_pipeline_[a-z_]+)`", page, re.MULTILINE))
    assert {f"voice_pipeline_{metric}_total" for metric, _, _ in SUMS.values()} <= found
    spread = {f"{name}{end}" for name in found for end in ("_sum", "_count", "_bucket")}
    return found | spread


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_an_alert_asks_for_what_there_is_and_says_what_to_do(rule: dict[str, Any]) -> None:
    """Each rule's metrics exist, its brackets close, and its runbook has a chapter."""
    asked = set(METRIC.findall(rule["expr"]))
    assert asked and asked <= listed_metrics()
    for opening, closing in ("()", "{}", "[]"):
        assert rule["expr"].count(opening) == rule["expr"].count(closing)
    assert rule["labels"]["severity"] in ("page", "ticket") and rule["annotations"]["summary"]
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    headings = re.findall(r"^#+ (.*)$", (DOCS.parent / page).read_text("utf-8"), re.MULTILINE)
    assert anchor in {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings}


def test_every_chapter_of_the_runbook_has_its_alert() -> None:
    """A renamed alert takes its chapter along."""
    page = (DOCS / "operations.md").read_text("utf-8")
    chapters = re.findall(r"^### (VoicePipeline\w+)$", page, re.MULTILINE)
    assert chapters == [rule["alert"] for rule in RULES]
    assert len(set(chapters)) == len(chapters)


def check_command(words: list[str]) -> None:
    """Refuse arguments that this release's command line does not know."""
    command: Any = get_command(app)
    given = words[:]
    while True:
        options = {name: p for p in command.params for name in (*p.opts, *p.secondary_opts)}
        while given and given[0].startswith("-"):
            name = given.pop(0)
            assert name in options, f"{' '.join(words)}: no option {name}"
            if not options[name].is_flag:
                value = given.pop(0)
                if name == "--queues" and value not in ("none", "%i"):
                    queue_names(value.split(","))
        if not given:
            assert not getattr(command, "commands", None), f"{' '.join(words)}: no command"
            return
        assert given[0] in command.commands, f"{' '.join(words)}: no command {given[0]}"
        command = command.commands[given.pop(0)]


def test_what_containers_run_exists() -> None:
    """Commands, options and queues in compose file, manifests and images are those of the code."""
    for name, service in COMPOSE["services"].items():
        if name != "postgres":
            check_command(service["command"])
    for manifest in MANIFESTS:
        if manifest["kind"] == "Deployment":
            for container in manifest["spec"]["template"]["spec"]["containers"]:
                check_command(container["args"])
    for file in CONTAINERFILES:
        found = re.search(r"^CMD (\[.*\])$", file.read_text("utf-8"), re.MULTILINE)
        assert found
        check_command(yaml.safe_load(found[1]))


def test_every_process_is_locked_in() -> None:
    """Nothing runs as root or writes to its image; secrets are files; one worker has the GPU."""
    services = COMPOSE["services"]
    for name in ("api", "cpu", "gpu"):
        one = services[name]
        assert one["read_only"] and one["user"] == "10001:10001" and one["cap_drop"] == ["ALL"]
        assert set(one["secrets"]) < set(COMPOSE["secrets"])
        assert not [part for part in one if part == "environment"]
    assert all(port.startswith("127.0.0.1:") for port in services["api"]["ports"])
    devices = services["gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert devices[0]["driver"] == "nvidia"
    lanes = set(load_settings(DEPLOY / "site.toml").serve.lanes)
    worked = {q for s in services.values() if "--queues" in s.get("command", [])
              for q in s["command"][s["command"].index("--queues") + 1].split(",")}  # fmt: skip
    assert lanes <= worked and {"calls", "gpu", "llm", "crm"} <= worked


@pytest.mark.parametrize("file", CONTAINERFILES, ids=lambda file: str(file.name))
def test_images_are_built_from_locks(file: Path) -> None:
    """Stages, hashes checked, a user of its own, what is copied exists, no host is named."""
    text = file.read_text("utf-8")
    assert text.count("\nFROM ") + text.startswith("FROM ") == 2
    assert "--require-hashes" in text and re.search(r"^USER 10001", text, re.MULTILINE)
    assert "HEALTHCHECK" in text
    for line in re.findall(r"^COPY (?!--from)(.*)$", text, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (DOCS.parent / source).exists(), source
    assert re.findall(r"^FROM (\S+)", text, re.MULTILINE) == ["python:3.11-slim"] * 2
    for name in set(re.findall(r"\bVOICE_PIPELINE_(\w+)=", text)):
        assert name.lower() in Settings.model_fields


def test_cuda_is_locked_by_hash() -> None:
    """Each package of cuda.in stands in cuda.lock with hashes, and no place is named."""
    lock = (DEPLOY / "cuda.lock").read_text("utf-8")
    for name in re.findall(
        r"^([a-z0-9-]+)>", (DEPLOY / "cuda.in").read_text("utf-8"), re.MULTILINE
    ):
        assert re.search(rf"^{name}==", lock, re.MULTILINE)
    assert "--hash=sha256:" in lock and "://" not in lock


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: str(unit.name))
def test_units_start_what_exists_and_are_hardened(unit: Path, tmp_path: Path) -> None:
    """systemd accepts each unit, its command line is ours, and it may do little."""
    parser = configparser.RawConfigParser(strict=False, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    text = unit.read_text("utf-8")
    parser.read_string(text)
    service = parser["Service"]
    program, *words = shlex.split(service["ExecStart"])
    check_command(words)
    assert service["NoNewPrivileges"] == "yes" and service["ProtectSystem"] == "strict"
    assert service["User"] == "voice-pipeline" and service["CapabilityBoundingSet"] == ""
    for name in set(re.findall(r"VOICE_PIPELINE_(\w+)=", text)):
        assert name.lower() in Settings.model_fields
    verify = shutil.which("systemd-analyze")
    if verify is None:
        pytest.skip("systemd-analyze is not installed")
    name = unit.name.replace("@.", "@gpu.")
    copy = tmp_path / name
    copy.write_text(text.replace(program, sys.executable), "utf-8")
    done = subprocess.run(
        [verify, "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False
    )
    complaints = [line for line in done.stderr.splitlines() if name in line]
    assert done.returncode == 0 and not complaints, done.stderr


def test_manifests_probe_what_answers() -> None:
    """Probes go to routes that are there, and the scaler asks for a metric that is there."""
    from voice_pipeline.api.app import probes

    paths = {getattr(route, "path", "") for route in probes.routes}
    scalers = 0
    for manifest in MANIFESTS:
        if manifest["kind"] == "ScaledObject":
            scalers += 1
            (trigger,) = manifest["spec"]["triggers"]
            assert set(METRIC.findall(trigger["metadata"]["query"])) <= listed_metrics()
            continue
        pod = manifest["spec"]["template"]["spec"]
        names = {volume["name"] for volume in pod["volumes"]}
        for container in pod["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} == names
            assert container["securityContext"]["readOnlyRootFilesystem"]
            for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
                if kind in container:
                    assert container[kind]["httpGet"]["path"] in paths
    assert scalers == 1
