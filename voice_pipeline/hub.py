"""What a model hub has: the files of one revision, with their sizes and hashes.

Decides the exact commit behind a revision, so that what is fetched later is what was listed. Takes
only files that were asked for by name: what else a repository lists is never looked at. The hub's
library says where the hub is and which token is the operator's; transfer is ours (docs/models.md).
"""

from __future__ import annotations

import http.client
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from voice_pipeline.errors import BadInput, Permanent, Retryable
from voice_pipeline.fetching import PASSING, Digest, refused

ATTEMPTS = 3
PAUSE = 1.0  # seconds, doubled
TIMEOUT = 20.0  # seconds
LARGEST_LISTING = 8 * 2**20  # bytes
_COMMIT = re.compile(r"[0-9a-f]{40}")
_HASHES = {"sha256": re.compile(r"[0-9a-f]{64}"), "git": re.compile(r"[0-9a-f]{40}")}


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of a revision."""

    name: str
    url: str
    size: int  # bytes
    digest: Digest


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a repository that were asked for, at one commit."""

    repository: str
    commit: str
    files: tuple[RemoteFile, ...]
    token: str | None = field(repr=False)  # the operator's own, as the hub's tools find it


def list_files(repository: str, revision: str, wanted: Collection[str]) -> Listing:
    """Ask a hub what it has.

    Args:
        repository: its id at the hub.
        revision: a commit, tag or branch.
        wanted: names of files; others are left out.

    Raises:
        Retryable: the hub cannot be reached (`hub_unreachable`).
        BadInput: it refuses, or there is no such repository or revision (`hub_refused`), or one of
            the files is not there (`model_incomplete`).
        Permanent: its answer cannot be (`hub_unreachable`).
    """
    from huggingface_hub import constants, get_token, hf_hub_url

    token = get_token()
    place = "/".join(quote(part, safe="") for part in repository.split("/"))
    answer = _asked(
        f"{constants.ENDPOINT}/api/models/{place}/revision/{quote(revision, safe='')}?blobs=true",
        token,
    )
    commit = answer.get("sha")
    if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
        raise _no_hub(f"names no commit of {repository}")
    siblings = answer.get("siblings")
    listed = {
        one.get("rfilename"): one
        for one in (siblings if isinstance(siblings, list) else [])
        if isinstance(one, dict)
    }
    missing = sorted(set(wanted) - set(listed))
    if missing:
        raise BadInput(
            f"{repository} has no {', '.join(missing)} at revision {commit[:12]}; "
            "name another with --revision",
            code="model_incomplete",
        )
    return Listing(
        repository,
        commit,
        tuple(
            _file(name, listed[name], hf_hub_url(repository, name, revision=commit))
            for name in wanted
        ),
        token,
    )


def _file(name: str, listed: Mapping[str, Any], url: str) -> RemoteFile:
    large = listed.get("lfs")
    told = large if isinstance(large, dict) else listed
    size = told.get("size")
    digest = (
        Digest("sha256", str(told.get("sha256")))
        if told is large
        else Digest("git", str(told.get("blobId")))
    )
    if (
        not isinstance(size, int)
        or isinstance(size, bool)
        or size < 0
        or not _HASHES[digest.kind].fullmatch(digest.value)
    ):
        raise _no_hub(f"lists no size and hash of {name}, so what comes could not be checked")
    return RemoteFile(name, url, size, digest)


def _asked(url: str, token: str | None) -> Mapping[str, Any]:
    request = urllib.request.Request(url, headers={"User-Agent": "voice-pipeline"})
    if token:
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    why = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE * 2 ** (attempt - 1))
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
                answer = json.loads(response.read(LARGEST_LISTING))
        except urllib.error.HTTPError as error:
            error.close()
            if error.code not in PASSING:
                raise refused(error.code) from None
            why = f"it answered {error.code}"
        except (OSError, http.client.HTTPException) as error:
            why = type(getattr(error, "reason", error)).__name__
        except (ValueError, RecursionError):
            why = "its answer is no list of files"
        else:
            if isinstance(answer, dict):
                return answer
            why = "its answer is no list of files"
    raise Retryable(
        f"the hub could not be reached ({why}): try again, or bring the files from a machine that "
        "reaches it and run `voice-pipeline models add`",
        code="hub_unreachable",
    )


def _no_hub(why: str) -> Permanent:
    return Permanent(f"what answers as the hub {why}", code="hub_unreachable")
