"""How long a caller wants an answer to wait: the preference ``wait`` of RFC 7240, section 4.3, in seconds.

A preference is a wish. One that cannot be read counts as none, as the RFC has it, and the answer says what is so.
"""

from __future__ import annotations

import re

from keyscope.wire.asgi import RawHeaders

_WAIT = re.compile(r"wait\s*=\s*\"?([0-9]{1,6})\"?", re.ASCII | re.IGNORECASE)


def preferred_wait_ms(headers: RawHeaders) -> int | None:
    """Milliseconds; None if no wait is preferred. The first counts if there are several (section 2)."""
    said = b",".join(value for name, value in headers if name == b"prefer").decode("latin-1")
    waits = (_WAIT.fullmatch(preference.partition(";")[0].strip()) for preference in said.split(","))
    return next((int(wait[1]) * 1000 for wait in waits if wait is not None), None)
