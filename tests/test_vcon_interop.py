"""The public `vcon` library (PyPI) reads what we write; what it signs is told apart by us.

It needs Python 3.12 and brings packages of its own, so it has its own environment: `make test-vcon`
makes one and names its interpreter in VCON_PYTHON.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from test_vcon import released, written
from vcon_files import signer

from voice_pipeline.vcon import sign, verify

PYTHON = os.environ.get("VCON_PYTHON", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON, reason="no interpreter with the vcon library: make test-vcon"),
]

READ = """
import json, sys
from vcon import Vcon
found = Vcon.build_from_json(open(sys.argv[1]).read())
print(json.dumps({
    "uuid": found.uuid, "parties": len(found.parties), "dialog": len(found.dialog),
    "words": [w["text"] for w in found.find_analysis_by_type("wtf_transcription")["body"]["words"]],
    "redacted": found.redacted, "valid": found.is_valid(),
}))
"""
VERIFY = """
import json, sys
from vcon import Vcon
signed = Vcon.build_from_json(open(sys.argv[1]).read())
print(json.dumps(signed.verify(open(sys.argv[2], "rb").read())))
"""
WRITE = """
import json, sys
from vcon import Vcon
from vcon.party import Party
made = Vcon.build_new()
made.add_party(Party(name="Dana Invented", role="agent"))
plain = made.to_json()
secret, public = Vcon.generate_key_pair()
made.sign(secret)
print(json.dumps({"plain": plain, "signed": made.to_json()}))
"""


def theirs(code: str, *arguments: Path) -> Any:
    """Run code beside their library and return what it prints."""
    done = subprocess.run(
        [PYTHON, "-W", "ignore", "-c", code, *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_they_read_ours(tmp_path: Path) -> None:
    """Parties, dialog, words and the redacted reference arrive; their one complaint is FLAC."""
    file = tmp_path / "call.vcon"
    file.write_bytes(written(released(agent="Dana")))
    ours, found = json.loads(file.read_text()), theirs(READ, file)
    assert found["uuid"] == ours["uuid"] and found["redacted"] == ours["redacted"]
    assert (found["parties"], found["dialog"]) == (3, 1)
    assert found["words"] == [w["text"] for w in ours["analysis"][0]["body"]["words"]]
    # a list of media types that is theirs: the draft recommends some and allows any
    assert found["valid"] == [
        False, ["Dialog at index 0 has an invalid or missing mediatype: audio/flac"],
    ]  # fmt: skip


def test_they_verify_our_signature(tmp_path: Path) -> None:
    """Signed by us, it holds for them; with another payload it does not."""
    file, key = tmp_path / "call.vcon", tmp_path / "public.pem"
    payload = written(released())
    signed = sign(payload, json.loads(payload)["uuid"], signer().credentials())
    file.write_bytes(signed)
    public = signer().key.public_key()
    key.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    assert theirs(VERIFY, file, key) is True
    other = json.loads(sign(payload + b" ", "x", signer().credentials()))["payload"]
    file.write_text(json.dumps({**json.loads(signed), "payload": other}))
    assert theirs(VERIFY, file, key) is False


def test_we_read_theirs() -> None:
    """What they write passes; what they sign is told apart: no certificate, and plain copies."""
    made = theirs(WRITE)
    assert verify(made["plain"].encode()).faults == ()
    told = [str(fault) for fault in verify(made["signed"].encode()).faults]
    assert any("no header beside it" in one for one in told)
    assert any("stands unsigned beside the payload" in one for one in told)
