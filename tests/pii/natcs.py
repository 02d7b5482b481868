"""Real spoken-style utterances with our labels: joins `natcs_labels.json` with the data set.

    python tests/pii/natcs.py --out DIR      # then: voice-pipeline evaluate redaction --data DIR

The utterances (NatCS, CDLA-Permissive-2.0) are not ours and stay out of the repository; the labels
are: 150 utterances read and marked by hand, 105 of them with personal data.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

LABELS = Path(__file__).parent / "dev" / "natcs_labels.json"
DATA = Path(__file__).parents[3] / "shared" / "data" / "natcs"


def truth(data: Path = DATA) -> list[dict[str, Any]]:
    """Return the labelled utterances as lines of a truth.jsonl.

    Raises:
        FileNotFoundError: the data set is not there.
    """
    said = {}
    for name in ("development.jsonl", "test-banking.jsonl"):
        for line in (data / name).read_text("utf-8").splitlines():
            row = json.loads(line)
            said[row["utterance_id"]] = row["utterance"]
    return [
        {
            "id": item["id"],
            "turns": [{"speaker": "customer", "text": said[item["id"]]}],
            "pii": [
                {"turn": 0, "start": start, "end": end, "label": label}
                for start, end, label in item["pii"]
            ],
        }
        for item in json.loads(LABELS.read_text("utf-8"))
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(row) + "\n" for row in truth(given.data))
    (given.out / "truth.jsonl").write_text(lines, "utf-8")


if __name__ == "__main__":
    main()
