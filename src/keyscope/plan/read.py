"""A file of calls, in whichever of the four forms it is."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any

import msgspec

from keyscope.errors import ConfigurationError, Fault
from keyscope.plan.calls import Attempt, BadFile, attempt
from keyscope.plan.har import Base, read_har
from keyscope.plan.lines import read_list, read_trace
from keyscope.policy import openapi


class Form(StrEnum):
    """What a file of calls can be."""

    LIST = "list"
    OPENAPI = "openapi"
    HAR = "har"
    TRACE = "trace"


_OPENAPI = re.compile(r"""^(?:\s*\{\s*)?["']?openapi["']?\s*:""", re.MULTILINE)
_HAR = re.compile(r"""\s*\{\s*"log"\s*:""")


def read_calls(raw: bytes, form: Form | None, base: Base | None) -> list[Attempt]:
    """The calls of a file; ``form`` None finds out which it is. Raises BadFile."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadFile([Fault(f"byte {error.start}", "the file is not UTF-8")]) from None
    form = form or _form_of(text)
    if form is Form.HAR:
        return read_har(_decoded(text), base)
    if form is Form.OPENAPI:
        return _of_document(text)
    return read_trace(text) if form is Form.TRACE else read_list(text)


def _form_of(text: str) -> Form:
    if _HAR.match(text):
        return Form.HAR
    if text.lstrip().startswith("{") and not _OPENAPI.search(text):
        return Form.TRACE
    return Form.OPENAPI if _OPENAPI.search(text) else Form.LIST


def _decoded(text: str) -> dict[str, Any]:
    # Not the strict reader: browsers put nested things of their own into these files, and only a few members are read.
    try:
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise BadFile([Fault("$", f"the file is not JSON: {_place(error)}")]) from None
    return document if isinstance(document, dict) else {}


def _place(error: Exception) -> str:
    found = re.search(r"\(byte \d+\)", str(error))
    return f"it breaks off or is malformed {found[0] if found else 'somewhere'}"


def _of_document(text: str) -> list[Attempt]:
    try:
        calls = openapi.parse(text, "the OpenAPI document").calls
    except ConfigurationError as error:
        raise BadFile(error.faults) from None
    if not calls:
        raise BadFile([Fault("paths", "there is no operation in it")])
    return [attempt(call.method, call.template) for call in calls]
