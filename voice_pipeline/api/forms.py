"""Reads one multipart upload as it comes: the file goes on piece by piece, fields are small.

Nothing of the file is kept in memory or in a temporary file. Refuses what is cut, too large, or
has two files.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from voice_pipeline.errors import BadInput
from voice_pipeline.ways_in.facts import flat_json

LARGEST_FIELD = 64 << 10  # bytes
MOST_PARTS = 20


@dataclass(slots=True)
class Form:
    """What a form held, once it was read to its end."""

    file: str | None = None  # name of the file, as sent
    fields: dict[str, bytes] = field(default_factory=dict)


class FormReader:
    """Feed it the body; bytes of the part `file` go to the sink."""

    def __init__(
        self, content_type: str, sink: Callable[[memoryview], object], largest: int
    ) -> None:
        """
        Args:
            content_type: the request's header.
            sink: takes the file's bytes, and keeps no view of them.
            largest: bytes of the file.

        Raises:
            BadInput: this is no multipart form (code `unsupported_media_type`).
        """
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not 0 < len(boundary) <= 200:
            raise BadInput(
                "send multipart/form-data with a part `file`, and `metadata` as JSON if you have "
                "any",
                code="unsupported_media_type",
            )
        self.form = Form()
        self._sink, self._largest, self._size, self._parts = sink, largest, 0, 0
        self._header, self._value, self._headers = b"", b"", dict[str, bytes]()
        self._name, self._ended = "", False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_part_data": self._data,
                "on_header_field": self._header_field,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_end": self._end,
            },
        )

    def feed(self, data: bytes) -> None:
        """Read on.

        Raises:
            BadInput: the form is broken (`bad_form`) or a part is too large (`too_large`).
        """
        try:
            self._parser.write(data)
        except MultipartParseError as error:
            raise BadInput("the form is broken; send it again", code="bad_form") from error

    def close(self) -> Form:
        """Return the form.

        Raises:
            BadInput: it was cut (code `cut_upload`), or holds no file (code `no_file`).
        """
        if not self._ended:
            raise BadInput("the upload was cut before its end; send it again", code="cut_upload")
        if self.form.file is None:
            raise BadInput("the form has no part `file` with a file name", code="no_file")
        return self.form

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise BadInput("the form has too many parts", code="bad_form")
        self._headers, self._header, self._value = {}, b"", b""

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._header.decode("latin-1").lower()] = self._value
        self._header, self._value = b"", b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get("content-disposition", b""))
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        if self._name == "file":
            if self.form.file is not None:
                raise BadInput("the form has two files; send one call each", code="bad_form")
            sent = options.get(b"filename", b"recording").decode("utf-8", "replace")
            self.form.file = re.split(r"[/\\]", sent)[-1][:200] or "recording"
        elif self._name in self.form.fields:
            raise BadInput("the form has a field twice", code="bad_form")
        else:
            self.form.fields[self._name] = b""

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._name == "file":
            self._size += end - start
            if self._size > self._largest:
                raise BadInput(
                    f"the recording is larger than {self._largest:,} bytes", code="too_large"
                )
            self._sink(memoryview(data)[start:end])
            return
        kept = self.form.fields[self._name] + data[start:end]
        if len(kept) > LARGEST_FIELD:
            raise BadInput("a field of the form is larger than 64 KiB", code="too_large")
        self.form.fields[self._name] = kept

    def _end(self) -> None:
        self._ended = True


def metadata_of(form: Form) -> dict[str, str]:
    """Return the metadata field as text values.

    Raises:
        BadInput: it is no flat JSON object, or has a key twice (code `meta`).
    """
    return flat_json(form.fields.get("metadata", b""))
