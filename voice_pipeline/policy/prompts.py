"""Reads the prompts of a policy pack: markdown with a front matter of id and version.

A prompt is governed like a rule: it is part of the pack's hash, and a fault in it refuses the pack.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from string import Template

import yaml
from pydantic import ValidationError

from voice_pipeline.policy.pack import Prompt
from voice_pipeline.policy.source import MAX_BYTES, Fault, Refused

# What a prompt may leave open, and with what it is filled.
SLOTS = {
    "request_types": "labels and titles of the taxonomy",
    "categories": "categories of the pack's escalation rules",
    "faults": "what was wrong with the first answer",
}
_FENCE = "---\n"


def read_prompt(path: Path) -> Prompt:
    """Read one prompt.

    Raises:
        Refused: it cannot be read, has no front matter, or names a slot that nobody fills.
    """
    try:
        raw = path.read_bytes()
        text = raw.decode("utf-8").replace("\r\n", "\n")
    except OSError as error:
        raise Refused([Fault(path, 1, f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError:
        raise Refused([Fault(path, 1, "is not UTF-8 text")]) from None
    head, fence, body = text.removeprefix(_FENCE).partition(f"\n{_FENCE}")
    if not text.startswith(_FENCE) or not fence or len(raw) > MAX_BYTES:
        raise Refused([Fault(path, 1, "needs a front matter: ---, id, version, ---, then text")])
    try:
        fields = yaml.safe_load(head)
        prompt = Prompt.model_validate(
            {
                **(fields if isinstance(fields, dict) else {}),
                "text": body.strip(),
                "sha256": hashlib.sha256(raw).hexdigest(),
            }
        )
    except yaml.YAMLError:
        raise Refused([Fault(path, 2, "the front matter is not YAML")]) from None
    except ValidationError as error:
        raise Refused(
            [
                Fault(path, 2, f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}")
                for fault in error.errors(include_url=False, include_input=False)
            ]
        ) from None
    template = Template(prompt.text)
    unknown = sorted(set(template.get_identifiers()) - set(SLOTS)) if template.is_valid() else ["$"]
    if unknown:
        known = ", ".join(f"${slot}" for slot in SLOTS)
        message = f"${unknown[0].strip('$')} is no slot; there are {known}, and $$ is a dollar sign"
        raise Refused([Fault(path, 1, message)])
    return prompt
