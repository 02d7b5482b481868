"""What may enter the engine's journal: names, codes and plain JSON. Never content, never pickle."""

from __future__ import annotations

import json
from typing import Any

from dbos import Serializer

from voice_pipeline import errors
from voice_pipeline.codec import build, plain
from voice_pipeline.domain import Ref
from voice_pipeline.pipeline import Outcome


class JournalSerializer(Serializer):
    """JSON with three shapes of ours: a Ref, an Outcome, an error as class, code and message.

    Anything else that is not plain JSON raises TypeError, which is what keeps transcripts out.
    """

    def serialize(self, data: Any) -> str:
        return json.dumps(data, default=_shape, sort_keys=True)

    def deserialize(self, serialized_data: str) -> Any:
        return json.loads(serialized_data, object_hook=_unshape)

    def name(self) -> str:
        return "voice_pipeline_json"


def _shape(value: Any) -> Any:
    if isinstance(value, Ref):
        return {"$ref": [value.call, value.kind, value.sha256]}
    if isinstance(value, Outcome):
        return {"$outcome": plain(value)}
    if isinstance(value, errors.PipelineError):
        return {"$error": [type(value).__name__, value.code, value.message]}
    if isinstance(value, BaseException):  # its message may hold anything: the class is enough
        return {"$error": ["PipelineError", "internal", f"unexpected {type(value).__name__}"]}
    raise TypeError(f"{type(value).__name__} may not enter the journal")


def _unshape(value: dict[str, Any]) -> Any:
    if "$ref" in value:
        return Ref(*value["$ref"])
    if "$outcome" in value:
        return build(Outcome, value["$outcome"])
    if "$error" in value:
        name, code, message = value["$error"]
        return getattr(errors, name)(message, code=code)
    return value
