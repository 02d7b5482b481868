"""Presidio for written forms, offline: our own blank language model and no suffix-list download.

Decides which Presidio recognizers run and what their labels are called here. The redactor asks
only for turns that hold digits or an @. Refuses any download.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

LOWEST_SCORE = 0.3  # below it Presidio says "any number of this length"
OURS = {
    "EMAIL_ADDRESS": "EMAIL", "CREDIT_CARD": "CARD_NUMBER", "US_SSN": "SSN", "IBAN_CODE": "IBAN",
    "IP_ADDRESS": "IP_ADDRESS", "URL": "URL", "UK_NHS": "MEDICAL_ID",
    "UK_NINO": "NATIONAL_INSURANCE", "UK_POSTCODE": "POSTCODE", "PHONE_NUMBER": "PHONE",
    "US_ITIN": "TAX_ID", "US_PASSPORT": "PASSPORT", "UK_PASSPORT": "PASSPORT",
    "US_DRIVER_LICENSE": "DRIVER_LICENSE", "UK_DRIVING_LICENCE": "DRIVER_LICENSE",
    "US_BANK_NUMBER": "ACCOUNT_NUMBER", "ABA_ROUTING_NUMBER": "ROUTING_NUMBER",
    "MEDICAL_LICENSE": "MEDICAL_ID", "US_MBI": "MEDICAL_ID", "PERSON": "PERSON",
    "LOCATION": "ADDRESS", "DATE_TIME": "DATE_TIME", "NRP": "CUSTOM", "CRYPTO": "CUSTOM",
    "UK_VEHICLE_REGISTRATION": "VEHICLE_REG",
}  # fmt: skip
# recognizers whose patterns are precise on written text; the phone and licence ones are slow and
# fire on any number, which our own scanner reads with its context
DEFAULT = ("IbanRecognizer", "CreditCardRecognizer", "UkNinoRecognizer",
           "UsSsnRecognizer", "UsMbiRecognizer")  # fmt: skip


def blank_nlp_engine(language: str = "en") -> Any:
    """Return a Presidio NLP engine over spaCy's blank model: nothing is downloaded."""
    import spacy
    from presidio_analyzer.nlp_engine import NerModelConfiguration, SpacyNlpEngine

    engine = SpacyNlpEngine(ner_model_configuration=NerModelConfiguration())
    vars(engine)["nlp"] = {language: spacy.blank(language)}
    return engine


def offline_email_recognizer() -> Any:
    """Return Presidio's e-mail recognizer with the suffix list of tldextract's own wheel.

    Left alone, its check of the domain downloads the public suffix list on first use.
    """
    import tldextract
    from presidio_analyzer.predefined_recognizers import EmailRecognizer

    extract = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
    recognizer = EmailRecognizer()
    vars(recognizer)["validate_result"] = lambda text: extract(text).fqdn != ""
    return recognizer


@lru_cache(maxsize=1)
def _recognizers() -> tuple[Any, ...]:
    import presidio_analyzer.predefined_recognizers as predefined

    logging.getLogger("presidio-analyzer").setLevel(logging.ERROR)
    return (offline_email_recognizer(), *(getattr(predefined, name)() for name in DEFAULT))


@lru_cache(maxsize=1)
def _engine() -> Any:
    """Return an analyzer for recognizers of a user's own, which may want tokens and context."""
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry

    logging.getLogger("presidio-analyzer").setLevel(logging.ERROR)
    registry = RecognizerRegistry(supported_languages=["en"])
    registry.add_recognizer(offline_email_recognizer())
    return AnalyzerEngine(
        registry=registry, nlp_engine=blank_nlp_engine(), supported_languages=["en"]
    )


def find_written(
    texts: Sequence[str], extra: Sequence[Any] = ()
) -> list[list[tuple[int, int, str, float, str]]]:
    """Run Presidio over texts.

    Args:
        texts: one per turn.
        extra: further Presidio recognizers (EntityRecognizer); these see every text.

    Returns:
        Per text: (start, end, our label, score, recognizer name).
    """
    found: list[list[tuple[int, int, str, float, str]]] = [[] for _ in texts]
    # named, because the engine otherwise asks recognizers for the entities of its registry alone
    wanted = sorted({entity for one in extra for entity in one.supported_entities})
    for index, text in enumerate(texts):
        results = [
            (type(recognizer).__name__, result)
            for recognizer in _recognizers()
            for result in recognizer.analyze(text, recognizer.supported_entities, None) or ()
        ]
        if extra:
            results += [
                ((hit.recognition_metadata or {}).get("recognizer_name", "presidio"), hit)
                for hit in _engine().analyze(
                    text, language="en", entities=wanted, ad_hoc_recognizers=list(extra)
                )
            ]
        found[index] = [
            (hit.start, hit.end, OURS.get(hit.entity_type, hit.entity_type), float(hit.score), name)
            for name, hit in results
            if hit.score >= LOWEST_SCORE
        ]
    return found
