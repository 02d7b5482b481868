"""What every record of a policy pack is made of: no unknown keys, names, sentences."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

_NAME = re.compile(r"[a-z][a-z0-9_]*")


def _is_name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError("is not a name: lower-case letters, digits and _")
    return text


Name = Annotated[str, AfterValidator(_is_name)]
Sentence = Annotated[str, Field(min_length=1, max_length=500)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
