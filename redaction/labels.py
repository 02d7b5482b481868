"""The kinds of personal data that findings name. Refuses to know how any of them is found."""

from __future__ import annotations

LABELS: tuple[str, ...] = (
    "PERSON", "CARD_NUMBER", "CARD_CVV", "CARD_EXPIRY", "SSN", "PHONE", "ACCOUNT_NUMBER",
    "SORT_CODE", "ROUTING_NUMBER", "IBAN", "DOB", "EMAIL", "ADDRESS", "POSTCODE", "PASSPORT",
    "DRIVER_LICENSE", "NATIONAL_INSURANCE", "TAX_ID", "MEDICAL_ID", "VEHICLE_REG", "IP_ADDRESS",
    "URL", "USERNAME", "PASSWORD", "PIN", "SECURITY_ANSWER", "DATE_TIME", "CUSTOM",
)  # fmt: skip

# topic of a number that is no personal data: order, tracking, booking and ticket references
REFERENCE = "REFERENCE"

# labels that go even from identifiers which an operator files a call under
NEVER_AN_IDENTIFIER = frozenset(
    {"CARD_NUMBER", "CARD_CVV", "CARD_EXPIRY", "SSN", "IBAN", "PIN", "PASSWORD"}
)
