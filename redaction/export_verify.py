"""Verify an export from the zip alone, and name the file and the record that is faulty.

Decides from the signed batch head: it says which logs there are, in which order, and what every
other file must be. Refuses to unpack anything to disk, to read more than a member may hold, and
names that no export has.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from redaction import merkle
from redaction.export import (
    BATCH,
    BATCH_PURPOSE,
    KEY,
    LOG_NAME,
    PAGE,
    POLICY_NAME,
    PROOFS,
    README,
    TABLE,
)
from redaction.log_verify import (
    Fault,
    Verdict,
    read_canonical,
    same_signer,
    signature_of,
    verify_bytes,
)

MOST_BYTES = 128 << 20  # of a log, unpacked: far more than any call's
MOST_TABLE = 2 << 30  # of another member
MOST_TOTAL = 8 << 30
MOST_NAMED = 200  # faults kept of one kind of flood
FOLDERS = ("logs/", "policies/")
FIXED = frozenset({BATCH, KEY, PAGE, PROOFS, README, TABLE})
# What zipfile raises on archives that were tampered with.
BROKEN = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError,
    ValueError, OSError,
)  # fmt: skip


class NotAnExport(ValueError):
    """The file is a zip, and none of ours."""


def is_zip(path: Path) -> bool:
    """Return whether a file is to be read as a zip; one that lost its end begins like one."""
    with path.open("rb") as file:
        return file.read(4) in (b"PK\x03\x04", b"PK\x05\x06") or zipfile.is_zipfile(file)


def verify_export(path: Path | str, signer: str | None = None) -> Verdict:
    """Verify an export.

    Args:
        path: a zip as `write_export` makes it.
        signer: the fingerprint that batch and logs must be signed with.

    Raises:
        NotAnExport: a readable zip without anything of an export in it.
        OSError: the file cannot be read.
    """
    with Path(path).open("rb") as file:
        try:
            archive = zipfile.ZipFile(file)
        except BROKEN:
            fault = Fault("truncated", None, "the zip is cut off or damaged: its list of files "
                          "cannot be read")  # fmt: skip
            return Verdict(0, (fault,), None, False, logs=0)
        with archive:
            return _Check(archive, signer).verdict()


class _Check:
    """One look at one zip."""

    def __init__(self, archive: zipfile.ZipFile, signer: str | None) -> None:
        self._archive, self._signer = archive, signer
        self._faults: list[Fault] = []
        self._entries: dict[str, zipfile.ZipInfo] = {}
        self._records = self._logs = 0

    def verdict(self) -> Verdict:
        self._list()
        if not self._entries.keys() & FIXED and not any(map(LOG_NAME.match, self._entries)):
            raise NotAnExport("no log and no batch head in it")
        batch = self._batch()
        name = checked = None
        if batch is not None:
            signed, name = signature_of(batch, BATCH_PURPOSE)
            if not signed:
                self._say("forged", BATCH, "the batch head's signature does not fit what it says")
            checked = bool(name and self._signer and same_signer(name, self._signer))
            if self._signer and not checked:
                self._say("signer", BATCH, "the batch was signed with another key")
        names = _names(batch, "logs")
        files = batch.get("files") if batch else None
        files = files if isinstance(files, dict) else {}
        self._present(names, files, batch is not None)
        leaves = self._each_log(names if batch else sorted(self._entries), name)
        self._each_file(files)
        if batch is not None:
            self._tree(batch, names, leaves)
        return Verdict(self._records, tuple(self._faults), name, bool(checked), logs=self._logs)

    def _say(self, kind: str, member: str, detail: str, line: int | None = None) -> None:
        self._faults.append(Fault(kind, line, detail, member))

    def _list(self) -> None:
        """Take the members with fitting names and sizes; say what is wrong with the others."""
        archive = self._archive
        if archive.comment or min((i.header_offset for i in archive.infolist()), default=0):
            self._say("added", "", "bytes stand before the first file or in the zip's comment")
        total = 0
        counts = Counter(entry.filename for entry in archive.infolist())
        for entry in archive.infolist():
            name = entry.filename
            if name in FOLDERS and not entry.file_size:
                continue
            limit = MOST_BYTES if name not in (TABLE, PROOFS) else MOST_TABLE
            total += entry.file_size
            if name != getattr(entry, "orig_filename", name) or not (
                name in FIXED or LOG_NAME.fullmatch(name) or POLICY_NAME.fullmatch(name)
            ):
                self._say("added", _printable(name), "no file of this name belongs to an export")
            elif counts[name] > 1:
                if name not in self._entries:
                    self._say("added", name, f"stands {counts[name]} times")
                self._entries.setdefault(name, entry)
            elif entry.flag_bits & 1:
                self._say("changed", name, "is encrypted; exports are not")
            elif entry.file_size > limit or total > MOST_TOTAL:
                self._say("changed", name, "is larger than a file of an export may be")
            else:
                self._entries[name] = entry

    def _batch(self) -> Mapping[str, Any] | None:
        data = self._read(BATCH)
        if data is None:
            return None
        batch = read_canonical(data.removesuffix(b"\n"))
        if batch is None or batch.get("event") != "batch" or not data.endswith(b"\n"):
            self._say("changed", BATCH, "is not a batch head: one line of canonical JSON")
            return None
        return batch

    def _present(self, names: Sequence[str], files: Mapping[str, Any], known: bool) -> None:
        """What the batch head names is there, and nothing else."""
        wanted = {*names, *files, BATCH}
        said = {fault.member for fault in self._faults}
        for name in sorted(wanted - self._entries.keys() - said):
            self._say("missing", _printable(name), "is missing from the zip")
        if known:
            for name in sorted(self._entries.keys() - wanted):
                self._say("added", name, "is not part of this export")

    def _each_log(self, names: Sequence[str], signed_by: str | None) -> dict[str, bytes]:
        """Verify the logs and return the leaf of each one's head."""
        leaves = {}
        for name in names:
            data = self._read(name) if name in self._entries and LOG_NAME.match(name) else None
            if data is None:
                continue
            verdict = verify_bytes(data)
            self._records += verdict.records
            self._logs += 1
            for fault in verdict.faults[:MOST_NAMED]:
                self._say(fault.kind, name, fault.detail, fault.line)
            if verdict.fingerprint and signed_by and verdict.fingerprint != signed_by:
                self._say("signer", name, "was signed with another key than the batch")
            leaves[name] = merkle.leaf(data.removesuffix(b"\n").rpartition(b"\n")[2])
        return leaves

    def _each_file(self, files: Mapping[str, Any]) -> None:
        """Compare the other files with the hashes of the batch head, and policies with theirs."""
        for name in sorted(self._entries.keys() & files.keys()):
            digest = self._digest(name)
            if digest is None:
                continue
            if digest != files[name]:
                self._say("changed", name, "is not what was signed")
            elif POLICY_NAME.match(name) and digest not in name:
                self._say("changed", name, "is not the policy that its name gives the hash of")

    def _tree(
        self, batch: Mapping[str, Any], names: Sequence[str], leaves: Mapping[str, bytes]
    ) -> None:
        """The logs are the leaves of the signed root, and each proof shows its log."""
        if batch.get("count") != len(names):
            self._say("changed", BATCH, "its count is not the number of its logs")
        if len(leaves) < len(names):
            return  # said already: what is missing or unreadable
        top = merkle.root([leaves[name] for name in names])
        if batch.get("root") != top.hex():
            blamed = [name for name, leaf in self._proven(batch) if leaves.get(name) != leaf]
            for name in blamed[:MOST_NAMED] or [BATCH]:
                self._say("changed", name, "is another log than the one that was signed here")
        elif batch.get("records") != self._records:
            self._say("changed", BATCH, "its number of records is not that of its logs")
        elif [name for name, leaf in self._proven(batch) if leaves.get(name) == leaf] != [*names]:
            self._say("changed", PROOFS, "does not prove every log")

    def _proven(self, batch: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
        """Every log with the leaf that its proof leads to the signed root."""
        for line in (self._read(PROOFS) or b"").splitlines():
            proof = read_canonical(line) or {}
            try:
                leaf = bytes.fromhex(proof["leaf"])
                path = [bytes.fromhex(sibling) for sibling in proof["path"]]
                root, count, index = bytes.fromhex(batch["root"]), batch["count"], proof["index"]
                if merkle.included(leaf, index, count, path, root):
                    yield str(proof["log"]), leaf
            except (KeyError, TypeError, ValueError):
                continue

    def _read(self, name: str) -> bytes | None:
        """A member whole; None where it is not there or cannot be read, which is said."""
        entry = self._entries.get(name)
        if entry is None:
            return None
        try:
            return self._archive.read(entry)
        except BROKEN:
            self._broken(name)
            return None

    def _digest(self, name: str) -> str | None:
        try:
            with self._archive.open(self._entries[name]) as member:
                return hashlib.file_digest(member, "sha256").hexdigest()  # type: ignore[arg-type]
        except BROKEN:
            self._broken(name)
            return None

    def _broken(self, name: str) -> None:
        detail = "is damaged: what is packed in the zip does not fit its checksum"
        if not any(f.member == name and f.detail == detail for f in self._faults):
            self._say("changed", name, detail)


def _names(batch: Mapping[str, Any] | None, field: str) -> list[str]:
    names = batch.get(field) if batch else None
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _printable(name: str) -> str:
    """A name as it may be printed: whoever made the zip chose it."""
    return json.dumps(name)[1:-1][:120]
