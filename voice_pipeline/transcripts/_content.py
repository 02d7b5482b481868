"""The bytes of a transcript file to text, and to JSON where it is JSON.

Decides the encoding from the bytes, never from a name. Refuses, with a sentence for the person who
handed it in, what is empty, too large, cut, binary, or a web page; no message repeats content.
"""

from __future__ import annotations

import codecs
import json
from dataclasses import dataclass, field
from typing import Any

from voice_pipeline.errors import BadInput

# Bytes. Three hours of speech are 30,000 words, and the most verbose of the formats spends about
# 600 bytes on each, indentation included.
LARGEST = 32 * 2**20

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, slots=True)
class Content:
    """Raw: what stands in a file."""

    text: str = field(repr=False)
    document: Any = field(default=None, repr=False)  # of JSON; None: it is no JSON


def open_content(data: bytes) -> Content:
    """Return the text of a file, parsed where it is JSON.

    Raises:
        BadInput: `empty_file`, `transcript_too_large`, `transcript_damaged` (not text, or JSON that
            breaks off), `transcript_unknown` (a web page).
    """
    if not data.strip():
        raise BadInput("the transcript is empty; export it again", code="empty_file")
    if len(data) > LARGEST:
        raise too_large()
    text = _decoded(data).strip()
    if text[:1] in ("{", "["):
        return Content(text, _parsed(text))
    if text[:1] == "<":
        raise BadInput(
            "this is a web page or XML, not a transcript (a log-in page saved by mistake?); "
            "export the transcript again",
            code="transcript_unknown",
        )
    return Content(text)


def too_large() -> BadInput:
    """Return the error for a file over the limit."""
    return BadInput(
        f"larger than {LARGEST // 2**20} MB, which is more than any call fills; "
        "is it the transcript of one call?",
        code="transcript_too_large",
    )


def _decoded(data: bytes) -> str:
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        raise BadInput(
            "the transcript is not UTF-8 or UTF-16 text; export it again, or save it as UTF-8",
            code="transcript_damaged",
        ) from None
    if "\0" in text:
        raise BadInput(
            "the transcript holds NUL bytes: it is no text, or was damaged; export it again",
            code="transcript_damaged",
        )
    return text


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise BadInput(
            f"not whole JSON (line {error.lineno}); the file was cut or edited: export it again",
            code="transcript_damaged",
        ) from None
    except (ValueError, RecursionError):  # a number of thousands of digits; nested without end
        raise BadInput(
            "JSON that no transcript looks like (nested too deep, or a number too long)",
            code="transcript_damaged",
        ) from None
