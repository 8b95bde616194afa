"""Forms that count once, though the browser sends them again: at a reload, by going back, by pressing twice.

The API gives a repeated request the same reply, secret included, sealed under the caller's secret
(authority/replay.py). The server does not hold that secret for a browser. So the reply is sealed under one that nobody
keeps, and a second sending meets a reply that does not open: Conflict.
"""

from __future__ import annotations

import re

from keyscope.authority.replay import Repeatable
from keyscope.console.kit import Form
from keyscope.errors import BadRequest, Fault
from keyscope.model.secret import Secret

FIELD = "once"
_TOKEN = re.compile(r"[0-9a-f]{64}", re.ASCII)


def counting_once(form: Form, operation: str, unkept: str) -> Repeatable:
    """What makes the form known when it comes again. ``unkept`` is a fresh random text.

    Raises BadRequest for a form without its own random text.
    """
    token = form.get(FIELD, "")
    if not _TOKEN.fullmatch(token):
        raise BadRequest("form", [Fault(FIELD, "load the form again: it is not whole")])
    return Repeatable(f"console {token}", operation, b"", Secret(unkept))
