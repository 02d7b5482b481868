"""Merkle trees as RFC 6962 section 2.1 draws them: roots, inclusion proofs and their check.

Leaves and nodes are hashed with different prefixes, so that no node can pass for a record.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import islice

EMPTY = sha256(b"").digest()


def leaf(record: bytes) -> bytes:
    """Return the hash of a record."""
    return sha256(b"\x00" + record).digest()


def node(left: bytes, right: bytes) -> bytes:
    """Return the hash of two subtrees."""
    return sha256(b"\x01" + left + right).digest()


def root(leaves: Iterable[bytes]) -> bytes:
    """Return the root over leaf hashes."""
    level = list(leaves)
    while len(level) > 1:
        level = _above(level)
    return level[0] if level else EMPTY


def _above(level: Sequence[bytes]) -> list[bytes]:
    """Hash neighbours in pairs; the last of an odd number goes up as it is.

    That gives the tree that the RFC defines by splitting at the largest power of two.
    """
    above = [
        sha256(b"\x01" + left + right).digest()
        for left, right in zip(level[::2], level[1::2], strict=False)
    ]
    if len(level) % 2:
        above.append(level[-1])
    return above


def path(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """Return the inclusion proof of one leaf, from its sibling up (RFC 6962 section 2.1.1).

    Raises:
        IndexError: there is no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise IndexError("no such leaf")
    return next(islice(paths(leaves), index, None))


def paths(leaves: Sequence[bytes]) -> Iterator[tuple[bytes, ...]]:
    """Return the inclusion proof of every leaf, in their order; hashes the tree once."""
    levels = [list(leaves)]
    while len(levels[-1]) > 1:
        levels.append(_above(levels[-1]))
    for index in range(len(leaves)):
        proof = []
        for height, level in enumerate(levels[:-1]):
            sibling = (index >> height) ^ 1
            if sibling < len(level):
                proof.append(level[sibling])
        yield tuple(proof)


def included(leaf_hash: bytes, index: int, count: int, proof: Sequence[bytes], top: bytes) -> bool:
    """Return whether a proof shows that a leaf is part of the tree of `count` leaves under `top`.

    The check of RFC 9162 section 2.1.3.2, which walks the two last indexes up together.
    """
    if not 0 <= index < count:
        return False
    at, last, digest = index, count - 1, leaf_hash
    for sibling in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            digest = node(sibling, digest)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            digest = node(digest, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and digest == top
