"""Which transcript made elsewhere belongs to which recording.

Decides by the one file that was named, or, in a folder, by the recording's own name. Refuses what
cannot be read before anything is kept, and to guess between two.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from voice_pipeline import transcripts
from voice_pipeline.errors import BadInput
from voice_pipeline.intake import AUDIO_SUFFIXES


class Transcripts:
    """The transcripts that go with recordings: one file for one, or a folder for many."""

    def __init__(self, where: Path) -> None:
        """
        Args:
            where: a file, or a folder with `NAME.*` for a recording `NAME.wav`.

        Raises:
            BadInput: there is no such file or folder (code `not_found`).
        """
        if not where.exists():
            raise BadInput(
                f"{where}: no such transcript or folder; check --transcript", code="not_found"
            )
        self.where = where
        self.many = where.is_dir()

    def beside(self, recording: Path) -> Path:
        """Return the file that belongs to a recording.

        Raises:
            BadInput: a folder has none, or several, of the recording's name (`transcript_missing`).
        """
        if not self.many:
            return self.where
        found = _named(self.where, recording)
        if len(found) == 1:
            return found[0]
        what = "no transcript" if not found else f"{len(found)} transcripts"
        raise BadInput(
            f"{what} of this recording's name in {self.where}; there must be one, "
            "named like the recording but for its ending",
            code="transcript_missing",
        )


def read_transcript(path: Path) -> bytes:
    """Return the bytes of a transcript, after making sure that they can be read as one.

    Raises:
        BadInput: `unreadable`, or as `transcripts.read`.
    """
    data = _bytes(path)
    transcripts.check(data)
    return data


def _named(folder: Path, recording: Path) -> Sequence[Path]:
    return [
        path
        for path in sorted(folder.iterdir())
        if path.is_file()
        and path.stem in (recording.stem, recording.name)
        and path.suffix.lower() not in AUDIO_SUFFIXES
    ]


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(transcripts.LARGEST + 1)
    except OSError as error:
        raise BadInput(
            f"cannot be read ({error.strerror or type(error).__name__}); "
            "check that it is a file and that you may read it",
            code="unreadable",
        ) from error
    if len(data) > transcripts.LARGEST:
        raise transcripts.too_large()
    return data
