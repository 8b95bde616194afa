"""What a caller hears when a request cannot be judged. Any fault of our own is 503: trouble closes the gate (law 7)."""

from __future__ import annotations

import logging

from keyscope.errors import ConfigurationError, InternalError, KeyscopeError, Unavailable
from keyscope.wire.problem import Answer, answer

log = logging.getLogger(__name__)

_OURS = (Unavailable, InternalError, ConfigurationError)


def refused(error: Exception) -> Answer:
    """The answer to an error: the caller's own faults by the table, everything else as 503."""
    if isinstance(error, KeyscopeError) and not isinstance(error, _OURS):
        return answer(error)
    log.error("cannot decide", exc_info=error)
    return answer(unavailable(error))


def unavailable(error: Exception) -> Unavailable:
    """The error, or one that stands for it."""
    return error if isinstance(error, Unavailable) else Unavailable(type(error).__name__)
