"""Merkle trees as RFC 6962 section 2.1 draws them: roots, inclusion proofs and their check.

Leaves and nodes are hashed with different prefixes, so that no node can pass for a record.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256

EMPTY = sha256(b"").digest()


def leaf(record: bytes) -> bytes:
    """Return the hash of a record."""
    return sha256(b"\x00" + record).digest()


def node(left: bytes, right: bytes) -> bytes:
    """Return the hash of two subtrees."""
    return sha256(b"\x01" + left + right).digest()


def root(leaves: Iterable[bytes]) -> bytes:
    """Return the root over leaf hashes; one pass, memory of the tree's height."""
    stack: list[tuple[int, bytes]] = []  # complete subtrees, largest first: (leaves, hash)
    for one in leaves:
        size, digest = 1, one
        while stack and stack[-1][0] == size:
            size, digest = 2 * size, node(stack.pop()[1], digest)
        stack.append((size, digest))
    if not stack:
        return EMPTY
    digest = stack.pop()[1]
    while stack:
        digest = node(stack.pop()[1], digest)
    return digest


def path(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """Return the inclusion proof of one leaf, from its sibling up (RFC 6962 section 2.1.1).

    Raises:
        IndexError: there is no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise IndexError("no such leaf")
    if len(leaves) == 1:
        return ()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    if index < split:
        return (*path(leaves[:split], index), root(leaves[split:]))
    return (*path(leaves[split:], index - split), root(leaves[:split]))


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
