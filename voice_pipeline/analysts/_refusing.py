"""Decides which calls are not summed up at all, and says why with a code."""

from __future__ import annotations

from voice_pipeline.domain import RedactedTranscript
from voice_pipeline.spoken.conversation import Conversation, is_back_channel
from voice_pipeline.spoken.words import vocabulary

FEWEST_WORDS = 8  # both sides together; below this there is nothing to sum up
LANGUAGES = ("en",)  # of the phrases and examples that come with the product
# Share of the commonest English words below which a text is in another language. Of 174 samples,
# development and unseen calls with so many words the lowest has 0.39; Spanish, German, French,
# Polish, Dutch and Italian service talk that we wrote has 0.07 at most.
ENGLISH = 0.2
JUDGED_FROM = 25  # words; fewer are too few to tell
_COMMONEST = vocabulary(
    "the of and a to in is you that it he was for on are as with his they i at be this have from "
    "or one had by not but what all were we when your can said there use an each which she do how "
    "their if will up other about out many then them these so some her would make like him into "
    "has no my am me our us just did could got get please thank thanks yes"
)


def too_little(call: Conversation) -> str | None:
    """Return why there is nothing to sum up: `no_speech`, `insufficient_speech`, or None."""
    words = sum(len(said) for said in call.tokens.values())
    if words == 0:
        return "no_speech"
    talk = [turn for turn in call.turns if not is_back_channel(call.tokens[turn.turn])]
    spoke = {call.side(turn) for turn in talk}
    one_sided = not {"agent", "customer"} <= spoke and "unknown" not in spoke
    different = {token.text for turn in talk for token in call.tokens[turn.turn]}
    if words < FEWEST_WORDS or one_sided or len(different) < FEWEST_WORDS:
        return "insufficient_speech"
    return None


def not_understood(transcript: RedactedTranscript, call: Conversation) -> str | None:
    """Return `language` where the call is in one that this analyst cannot read."""
    if transcript.language.split("-")[0] not in LANGUAGES:
        return "language"
    said = [
        token.text
        for tokens in call.tokens.values()
        for token in tokens
        if not token.text.startswith("[") and not token.text.isdigit()
    ]
    if len(said) < JUDGED_FROM:
        return None
    common = sum(text in _COMMONEST for text in said) / len(said)
    return "language" if common < ENGLISH else None
