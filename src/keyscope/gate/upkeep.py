"""What a process that judges on the database does beside judging: look after the store, record uses."""

from __future__ import annotations

import asyncio
import logging

from keyscope.authority.ports import Index, Store, Writer
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


async def record(verifier: Verifier, store: Store) -> None:
    """Write down when keys were last used, beside the hot path. Losing some of it is no fault."""
    used, verifier.used = verifier.used, {}
    dead = verifier.dead.take()
    if not (used or dead):
        return

    def work(writer: Writer) -> None:
        writer.record_use(used)
        verifier.dead.write(writer, dead)

    try:
        await asyncio.to_thread(store.write, work)
    except KeyscopeError as error:
        log.warning("last uses were not recorded: %s", error.detail)
