"""One zip for an auditor: logs, signed batch head, proofs, key, policies, a table, a page.

Decides what is in it and how the whole is sealed. Refuses an empty batch and a log that does not
verify: what leaves here as evidence must be whole. The same logs give the same bytes.
"""

from __future__ import annotations

import io
import json
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import IO, Any

from redaction import merkle
from redaction.export_page import Summary, page, readme
from redaction.log import Signer
from redaction.log_events import SCHEMA, canonical
from redaction.log_table import Table
from redaction.log_verify import verify_bytes

BATCH = "batch.json"
BATCH_PURPOSE = b"redaction-log-batch/1\n"  # signed before the head, so it stands for nothing else
PROOFS, TABLE, KEY, PAGE, README = (
    "proofs.jsonl", "events.csv", "public_key.pem", "index.html", "README.txt",
)  # fmt: skip
LOG_NAME = re.compile(r"logs/[A-Za-z0-9][A-Za-z0-9._-]{0,199}\.jsonl")
POLICY_NAME = re.compile(r"policies/[0-9a-f]{64}\.json")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can give: the same bytes every time
_SPOOL = 64 << 20  # bytes of the table kept in memory


@dataclass(frozen=True, slots=True)
class Export:
    """What was written."""

    logs: int
    records: int
    root: str  # of the batch, hexadecimal
    fingerprint: str
    policies_missing: tuple[str, ...]  # hashes of policies whose text is not known


def write_export(
    sink: IO[bytes],
    logs: Iterable[tuple[str, bytes]],
    signer: Signer,
    *,
    policies: Mapping[str, str],
    made_by: str,
    each: Callable[[], None] = lambda: None,
) -> Export:
    """Write the zip.

    Args:
        sink: takes the zip; need not be seekable.
        logs: (name, bytes of a signed log), in the order of the batch; a name is letters, digits,
            `._-`.
        signer: signs the batch; the one that signed the logs.
        policies: canonical JSON of policies by hash; those that a log names are put in.
        made_by: program and version.
        each: called after every log.

    Raises:
        ValueError: there is no log, a name does not fit or comes twice, or a log is faulty.
    """
    with (
        zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive,
        tempfile.SpooledTemporaryFile(_SPOOL) as spool,
    ):
        text = io.TextIOWrapper(spool, "utf-8", newline="")
        table, summary = Table(text), Summary(made_by, signer.fingerprint)
        names: list[str] = []
        leaves: list[bytes] = []
        for name, data in logs:
            member = f"logs/{name}.jsonl"
            if not LOG_NAME.fullmatch(member) or member in summary.calls:
                raise ValueError(f"a log's name does not fit, or comes twice: {member[:80]!r}")
            head = _add_log(data, member, signer, table, summary)
            _put(archive, member, data)
            names.append(member)
            leaves.append(merkle.leaf(head))
            each()
        if not names:
            raise ValueError("there is no log to export")
        text.flush()
        spool.seek(0)
        files = {TABLE: _put_stream(archive, TABLE, spool)}
        root = merkle.root(leaves)
        known = sorted(summary.policies & policies.keys())
        rest = {
            KEY: _pem(signer),
            PROOFS: b"".join(_proofs(names, leaves)),
            README: readme(summary, root.hex()).encode(),
            PAGE: page(summary, root.hex()).encode(),
            **{f"policies/{name}.json": policies[name].encode() for name in known},
        }
        for name, data in rest.items():
            files[name] = _put(archive, name, data)
        batch: dict[str, Any] = {
            "event": "batch",
            "schema": SCHEMA,
            "time": summary.until,
            "made_by": made_by,
            "logs": names,
            "records": summary.records,
            "count": len(names),
            "root": root.hex(),
            "files": files,
            "public_key": signer.public_key,
        }
        batch["signature"] = signer.sign(BATCH_PURPOSE + canonical(batch))
        _put(archive, BATCH, canonical(batch) + b"\n")
    missing = tuple(sorted(summary.policies - policies.keys()))
    return Export(len(names), summary.records, root.hex(), signer.fingerprint, missing)


def _add_log(data: bytes, name: str, signer: Signer, table: Table, summary: Summary) -> bytes:
    """Check a log, take its records into table and summary, and return its head's line."""
    verdict = verify_bytes(data, signer.fingerprint)
    if not verdict.ok:
        raise ValueError(f"{name} does not verify: {verdict.faults[0]}")
    *body, head = data.splitlines()
    for line in body:
        record = json.loads(line)
        table.add(name, record)
        summary.see(name, record)
    summary.close(name, json.loads(head))
    return head


def _proofs(names: list[str], leaves: list[bytes]) -> Iterable[bytes]:
    """One line a log: with it, a log and the batch head stand without the other logs."""
    for index, proof in enumerate(merkle.paths(leaves)):
        document = {
            "log": names[index],
            "index": index,
            "leaf": leaves[index].hex(),
            "path": [sibling.hex() for sibling in proof],
        }
        yield canonical(document) + b"\n"


def _pem(signer: Signer) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = signer.private.public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _put(archive: zipfile.ZipFile, name: str, data: bytes) -> str:
    return _put_stream(archive, name, io.BytesIO(data))


def _put_stream(archive: zipfile.ZipFile, name: str, source: IO[bytes]) -> str:
    """Write a member with nothing in it that differs between two exports; return its hash."""
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type, entry.create_system, entry.external_attr = (
        zipfile.ZIP_DEFLATED,
        3,
        0o644 << 16,
    )
    digest = sha256()
    with archive.open(entry, "w", force_zip64=True) as member:
        while block := source.read(1 << 20):
            digest.update(block)
            member.write(block)
    return digest.hexdigest()
