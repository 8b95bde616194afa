"""What a caller hears when a request cannot be judged. Any fault of our own is 503: trouble closes the gate (law 7)."""

from __future__ import annotations

import logging
import time

from keyscope.errors import ConfigurationError, InternalError, KeyscopeError, Unavailable
from keyscope.wire.problem import Answer, answer

log = logging.getLogger(__name__)

_OURS = (Unavailable, InternalError, ConfigurationError)
_EVERY_S = 1.0


def refused(error: Exception) -> Answer:
    """The answer to an error: the caller's own faults by the table, everything else as 503."""
    if isinstance(error, KeyscopeError) and not isinstance(error, _OURS):
        return answer(error)
    say(error)
    return answer(unavailable(error))


def unavailable(error: Exception) -> Unavailable:
    """The error, or one that stands for it."""
    return error if isinstance(error, Unavailable) else Unavailable(type(error).__name__)


class Sayings:
    """Says in the log why calls cannot be judged.

    Where the gate is closed on purpose every call fails, thousands in a second. So that is one sentence a second for
    each reason, and how many calls it was. What nobody foresaw is said each time, and where it came from.
    """

    def __init__(self) -> None:
        self._said_s: dict[str, float] = {}
        self._silent: dict[str, int] = {}

    def say(self, error: Exception) -> None:
        if not isinstance(error, Unavailable):
            log.error("cannot decide", exc_info=error)
            return
        now_s, code = time.monotonic(), error.code
        if now_s - self._said_s.get(code, -_EVERY_S) < _EVERY_S:
            self._silent[code] = self._silent.get(code, 0) + 1
            return
        self._said_s[code] = now_s
        before = f"; {more} more before" if (more := self._silent.pop(code, 0)) else ""
        log.error("cannot decide: %s: %s%s", code, error.detail, before)


say = Sayings().say
