"""A policy from whatever can be one: a built-in name, a policy file, or an annotated OpenAPI document."""

from __future__ import annotations

import re

from keyscope.policy.annotated import policy_from_openapi
from keyscope.policy.document import Policy, builtin_names, load, parse, read_text
from keyscope.policy.openapi import parse as parse_openapi

_OPENAPI = re.compile(r"""^(?:\s*\{\s*)?["']?openapi["']?\s*:""", re.MULTILINE)
"""What an OpenAPI document has at its top level, and a policy nowhere at the start of a line."""


def load_any(source: str) -> Policy:
    """Read a policy by its name or from a file. Raises ConfigurationError with every fault."""
    if source in builtin_names():
        return load(source)
    text = read_text(source, "policy", builtin_names())
    return policy_from_openapi(parse_openapi(text, source)) if _OPENAPI.search(text) else parse(text, source)
