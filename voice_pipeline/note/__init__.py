"""How a case note leaves the pipeline: as JSON for programs and as a page for people."""

from voice_pipeline.note.as_json import note_json, note_warnings, payload_sha256
from voice_pipeline.note.page import note_page

__all__ = ["note_json", "note_page", "note_warnings", "payload_sha256"]
