"""What may go wrong, and who has to act.

    PipelineError
    ├── Retryable        try again later; nothing is wrong with the call
    ├── Permanent        trying again gives the same answer
    │   └── BadInput     the file, line or value that was handed in cannot be used
    ├── NeedsHuman       the call is held until a person has looked
    └── Misconfigured    the installation or its settings must be changed first

The class alone decides: retry, fail, hold, or stop at start-up. `code` is the stable name that
programs read (docs/codes.md lists them); the message says what is wrong and what to do, and never
repeats a value that may be personal.
"""

from __future__ import annotations


class PipelineError(Exception):
    """Something went wrong in a way the pipeline knows about."""

    code = "internal"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return f"{self.message} ({self.code})"


class Retryable(PipelineError):
    """A resource did not answer this time; the same step may succeed later."""

    code = "unavailable"

    def __init__(
        self, message: str, *, code: str | None = None, after: float | None = None
    ) -> None:
        """
        Args:
            after: seconds that the other side asked to wait; None: it did not say.
        """
        super().__init__(message, code=code)
        self.after = after


class Permanent(PipelineError):
    """The step cannot succeed, however often it is tried."""

    code = "failed"


class BadInput(Permanent):
    """What was handed in cannot be used; the message names it and says what to hand in instead."""

    code = "bad_input"


class NeedsHuman(PipelineError):
    """The call is held: a person decides before anything leaves."""

    code = "held"


class Misconfigured(PipelineError):
    """A setting, a model or an installed part is missing or does not fit."""

    code = "misconfigured"
