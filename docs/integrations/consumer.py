"""Follows the feed of a voice-pipeline service and keeps every finished note: VP_URL, VP_KEY, DIR.

Stopped at any point it goes on where it was, and handles each note at least once: `put` names the
file by call and revision, so that handling one again changes nothing.
"""

import json
import os
import sys
import time
from pathlib import Path

import httpx

api = httpx.Client(
    base_url=os.environ["VP_URL"], headers={"Authorization": f"Bearer {os.environ['VP_KEY']}"}
)
folder, place = Path(sys.argv[1]), Path(sys.argv[1]) / "cursor"


def put(event: dict, note: dict) -> None:
    (folder / f"{event['subject']}-{event['data']['revision']}.json").write_text(json.dumps(note))


folder.mkdir(parents=True, exist_ok=True)
while True:
    cursor = int(place.read_text()) if place.exists() else 0
    page = api.get("/v1/events", params={"cursor": cursor}).raise_for_status().json()
    for event in page["items"]:
        if event["type"] in ("voice-pipeline.call.done.v1", "voice-pipeline.call.edited.v1"):
            answer = api.get(f"/v1/calls/{event['subject']}/note")
            if answer.status_code == 200:  # 410: erased since
                put(event, answer.json())
    place.write_text(str(page["next_cursor"]))  # only now: what was handled is behind us
    if not page["items"]:
        time.sleep(float(os.environ.get("VP_WAIT", "5")))
