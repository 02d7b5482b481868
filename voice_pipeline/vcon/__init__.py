"""vCon, the IETF's container for conversations (draft-ietf-vcon-vcon-core-03): out, in, checked.

Out goes what was redacted and verified, and nothing else. In comes one recording with what is known
of it. Refuses files that ask for extensions which are not understood here.
"""

from voice_pipeline.vcon.build import Released, VconFile, redacted_vcon
from voice_pipeline.vcon.forms import Form, looks_like, read
from voice_pipeline.vcon.recordings import Contained, Linked, find_recording
from voice_pipeline.vcon.signing import Credentials, load_credentials, sign
from voice_pipeline.vcon.verify import Verdict, opened, verify

__all__ = [
    "Contained",
    "Credentials",
    "Form",
    "Linked",
    "Released",
    "VconFile",
    "Verdict",
    "find_recording",
    "load_credentials",
    "looks_like",
    "opened",
    "read",
    "redacted_vcon",
    "sign",
    "verify",
]  # fmt: skip
