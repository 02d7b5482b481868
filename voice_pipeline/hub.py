"""What a model hub has: the files of one revision, with their sizes and hashes.

Decides the exact commit behind a revision, so that what is fetched later is what was listed. Takes
only files that were asked for by name: what else a repository lists is never looked at.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from voice_pipeline.errors import BadInput, Permanent, Retryable
from voice_pipeline.fetching import Digest, refused

if TYPE_CHECKING:
    from huggingface_hub import ModelInfo

ATTEMPTS = 3
PAUSE = 1.0  # seconds, doubled
TIMEOUT = 20.0  # seconds
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
    info = _asked(repository, revision, token)
    commit = info.sha or ""
    if not _COMMIT.fullmatch(commit):
        raise Permanent(f"the hub names no commit of {repository}", code="hub_unreachable")
    found = []
    listed = {one.rfilename: one for one in info.siblings or ()}
    missing = sorted(set(wanted) - set(listed))
    if missing:
        raise BadInput(
            f"{repository} has no {', '.join(missing)} at revision {commit[:12]}; "
            "name another with --revision",
            code="model_incomplete",
        )
    for name in wanted:
        one = listed[name]
        digest = Digest("sha256", one.lfs.sha256) if one.lfs else Digest("git", one.blob_id or "")
        size = one.lfs.size if one.lfs else one.size
        if (
            not _HASHES[digest.kind].fullmatch(digest.value)
            or not isinstance(size, int)
            or size < 0
        ):
            raise Permanent(
                f"the hub lists no size and hash of {name}, so what comes could not be checked",
                code="hub_unreachable",
            )
        url = hf_hub_url(repository, name, revision=commit, endpoint=constants.ENDPOINT)
        found.append(RemoteFile(name, url, size, digest))
    return Listing(repository, commit, tuple(found), token)


def _asked(repository: str, revision: str, token: str | None) -> ModelInfo:
    from httpx import HTTPError
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    api = HfApi(token=token or False)
    why = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE * 2 ** (attempt - 1))
        try:
            return api.model_info(
                repository, revision=revision, files_metadata=True, timeout=TIMEOUT
            )
        except HfHubHTTPError as error:
            status = error.response.status_code
            if status < 500 and status != 429:
                raise refused(status) from None
            why = f"it answered {status}"
        except (OfflineModeIsEnabled, HTTPError, OSError, ValueError, KeyError, TypeError) as error:
            why = type(error).__name__
    raise Retryable(
        f"the hub could not be reached ({why}): try again, or bring the files from a machine that "
        "reaches it and run `voice-pipeline models add`",
        code="hub_unreachable",
    )
