"""Phone numbers as keys: the same number gives the same key, and a key gives no number.

The number that a call came from is personal, so it is never kept; its keyed hash finds the
customer's other calls, and the record of a CRM that has the same key in a field. Refuses what is no
phone number. Twelve digits can be tried out by whoever has the key: it is as secret as the number.
"""

from __future__ import annotations

import hashlib
import hmac
import re

from voice_pipeline.errors import BadInput

PURPOSE = b"voice-pipeline phone key 1\n"
LETTERS = bytes.maketrans(b"0123456789abcdef", b"abcdefghijklmnop")  # no digits: not like a number
KEY = re.compile(r"tel-[a-p]{32}")
FORM = re.compile(r"\+?[\d\s().\-/]{6,40}", re.ASCII)


def phone_key(number: str, seed: bytes, country: str | None = None) -> str:
    """Return the key of a phone number: `tel-` and 32 letters.

    Args:
        number: as people write it: +44 20 7946 0000, 0044..., 020...
        seed: 32-byte secret of the data folder.
        country: calling code, digits, of numbers that begin with one 0.

    Raises:
        BadInput: it is no phone number (code `meta`). The message does not repeat it.
    """
    text = number.strip()
    digits = re.sub(r"\D", "", text, flags=re.ASCII)
    if not FORM.fullmatch(text) or not 6 <= len(digits) <= 20:
        raise BadInput("phone: not a phone number, for example +44 20 7946 0000", code="meta")
    if not text.startswith("+"):
        if digits.startswith("00"):
            digits = digits[2:]
        elif digits.startswith("0") and country:
            digits = country + digits[1:]
    key = hmac.new(hashlib.sha256(PURPOSE + seed).digest(), digits.encode(), hashlib.sha256)
    return "tel-" + key.hexdigest()[:32].encode().translate(LETTERS).decode()
