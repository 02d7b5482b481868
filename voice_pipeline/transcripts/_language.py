"""Languages as vendors write them to the codes that we use.

Decides which spellings are one language. What is no code and no known name is `und`, a language for
which nobody has redaction rules, so that its call is held.
"""

from __future__ import annotations

import re

UNKNOWN = "und"  # ISO 639-2: undetermined; there are no redaction rules for it

# Languages by the names that Whisper servers give them instead of codes.
_NAMES = {
    "english": "en", "spanish": "es", "french": "fr", "german": "de", "italian": "it",
    "portuguese": "pt", "dutch": "nl", "polish": "pl", "chinese": "zh", "japanese": "ja",
    "korean": "ko", "hindi": "hi", "arabic": "ar", "russian": "ru", "turkish": "tr",
    "swedish": "sv", "danish": "da", "norwegian": "no", "finnish": "fi", "welsh": "cy",
}  # fmt: skip


def iso(language: str) -> str:
    """Return the ISO 639 code of `en`, `en-GB`, `en_US`, `English`; "" where there is none.

    What is no code and no known name is `und`: somebody named a language, and it is not known here.
    """
    text = language.strip().lower().replace("_", "-")
    if text in ("", "auto", "multi"):
        return ""
    primary = text.split("-")[0]
    if primary in _NAMES:
        return _NAMES[primary]
    return {"eng": "en"}.get(primary, primary) if re.fullmatch("[a-z]{2,3}", primary) else UNKNOWN
