"""How runs are called: names say which call, plan and attempt a run is, and find them again."""

from __future__ import annotations

from dbos import DBOS, WorkflowStatus

# DBOS's states of a run that has not ended
OPEN = ("PENDING", "ENQUEUED", "DELAYED")


def run_name(call: str, plan: str, attempt: int = 1) -> str:
    return f"{call}.{plan}" if attempt == 1 else f"{call}.{plan}-{attempt}"


def lane_name(run: str, stage: str) -> str:
    """Return the name of a stage's own run, which never looks like one of a call."""
    return f"stage.{run}.{stage}"


def parts(run: str) -> tuple[str, str]:
    """Return the call and the plan of a run of a call."""
    call, _, plan = run.partition("-")[0].partition(".")
    return call, plan


def attempt(run: str) -> int:
    _, _, number = run.partition("-")
    return int(number or 1)


def newest(name: str) -> WorkflowStatus | None:
    """Return the newest attempt under this name."""
    rows = [
        row
        for row in DBOS.list_workflows(workflow_id_prefix=name, load_input=False, load_output=False)
        if row.workflow_id.partition("-")[0] == name
    ]
    return max(rows, key=lambda row: attempt(row.workflow_id), default=None)


def runs_of(call: str) -> list[WorkflowStatus]:
    """Return every run of a call: of itself, of its stages, and deliveries of older releases."""
    prefixes = (f"{call}.", f"stage.{call}.")
    rows = DBOS.list_workflows(
        workflow_id_prefix=list(prefixes), load_input=False, load_output=False
    )
    return [row for row in rows if row.workflow_id.startswith(prefixes)]
