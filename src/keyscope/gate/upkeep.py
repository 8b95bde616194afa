"""What a process that judges on the database does beside judging: look after the store, record uses."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from keyscope.authority.ports import Index, Reader, Store, Writer
from keyscope.authority.recording import Recording
from keyscope.authority.verify import Verifier
from keyscope.errors import KeyscopeError, Unavailable

log = logging.getLogger(__name__)


def check(verifier: Verifier, index: Index, store: Store, recording: Recording | None = None) -> None:
    """Raise Unavailable, and keep the gate closed, if the store or the audit trail cannot be used. Else open it."""
    try:
        index.release()
        store.check()
        if recording is not None:
            recording.check()
    except Unavailable as error:
        verifier.closed = error
        raise
    verifier.closed = None


FirstUses = Callable[[Mapping[str, int]], None]


async def record(verifier: Verifier, store: Store, first_uses: FirstUses | None = None) -> None:
    """Write down when keys were last used, beside the hot path. Losing some of it is no fault.

    ``first_uses`` is told of those that were never used before, and when they were, in another thread.
    """
    used, verifier.used = verifier.used, {}
    dead = verifier.dead.take()
    if not (used or dead):
        return
    try:
        await asyncio.to_thread(write_uses, store, used, first_uses, lambda writer: verifier.dead.write(writer, dead))
    except KeyscopeError as error:
        log.warning("last uses were not recorded: %s", error.detail)


def write_uses(
    store: Store, used: Mapping[str, int], first_uses: FirstUses | None, more: Callable[[Writer], None] = lambda _: None
) -> None:
    """Write down when keys were last used (Unix milliseconds by key id), and ``more`` in the same commit."""
    # First: what is told twice is made one message of, what is not told is lost.
    if first_uses is not None and (fresh := store.read(lambda reader: _never_used(reader, used))):
        first_uses(fresh)

    def work(writer: Writer) -> None:
        writer.record_use(used)
        more(writer)

    store.write(work)


def _never_used(reader: Reader, used: Mapping[str, int]) -> dict[str, int]:
    return {key_id: at_ms for key_id, at_ms in used.items() if reader.last_used_ms(key_id) is None}
