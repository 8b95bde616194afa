"""Judge inside the application's own process, on the database of this host, by the built-in gate's own code."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeAlias

from keyscope.authority.counters import Counters
from keyscope.authority.counting import Counting
from keyscope.authority.ports import Clock, Index, Store
from keyscope.authority.recording import Recording
from keyscope.authority.verify import Verifier
from keyscope.errors import KeyscopeError, Unavailable
from keyscope.gate.admit import admit_with, first_look, is_judged_by_body, let_through, over
from keyscope.gate.judge import Caller, Lasting, Pending, Verdict, with_more
from keyscope.gate.sight import Sight
from keyscope.gate.tidying import tidied
from keyscope.gate.upkeep import check, record
from keyscope.gate.writing import written_down
from keyscope.model.body import Json
from keyscope.model.decision import Allow
from keyscope.model.facts import BodySeen
from keyscope.model.key import Lineage
from keyscope.model.operation import Table
from keyscope.wire.call import Call
from keyscope.wire.problem import Answer

log = logging.getLogger(__name__)

UPKEEP_S = 1.0
MOST_KEPT = 4096


class EmbeddedJudge:
    """For one thread and one loop. A revocation by any process of the host binds the next request."""

    def __init__(
        self,
        open_store: Callable[[], Store],
        table: Callable[[], Table],
        clock: Clock,
        record: Callable[[Store], Recording] | None = None,
        count: Callable[[], Counters | None] = lambda: None,
        *,
        knows_peer: bool = False,
    ) -> None:
        """``record`` makes what records for a store; None if nothing is to be recorded. ``count`` opens the counters,
        without which a key whose use is limited is refused. ``knows_peer``: the peer of a call is surely who called.
        """
        self._sight = Sight(body=BodySeen.LATER, counts=True, sees_end=True, knows_peer=knows_peer)
        self._open_store = open_store
        self._record = record
        self._count = count
        self._table = table
        self._clock = clock
        self._callers: dict[Lineage, Caller] = {}
        self._verifier: Verifier | None = None
        self._upkeep: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Raises KeyscopeError."""
        if self._verifier is not None:
            return
        table = self._table()
        store = self._open_store()
        index = store.open_index()
        recording = self._record(store) if self._record is not None else None
        counters = self._count()
        self._verifier = Verifier(index, table, self._clock, set(), recording.ledger if recording else None)
        self._verifier.counting = Counting(counters, self._clock) if counters is not None else None
        keeping = _keep_up(self._verifier, index, store, recording, counters)
        self._upkeep = asyncio.get_running_loop().create_task(keeping)

    async def admit(self, call: Call) -> Verdict | Pending:
        if self._verifier is None:
            raise Unavailable("the database is not open")
        outcome = first_look(self._verifier, call, self._sight)
        if not isinstance(outcome, Allow):
            return outcome
        if is_judged_by_body(outcome):
            return Pending(_Settling(self._verifier, self._sight, self._verdict, call, outcome))
        return self._verdict(self._verifier, let_through(self._verifier, outcome, call))

    def _verdict(self, verifier: Verifier, outcome: Allow | Answer) -> Verdict:
        if not isinstance(outcome, Allow):
            return outcome
        caller = self._caller(outcome)
        return Lasting(caller, partial(over, verifier, outcome)) if outcome.lineage.bounds else caller

    def _caller(self, allow: Allow) -> Caller:
        """The same lineage gives the same caller: the index hands it out as long as nothing is committed."""
        lineage = allow.lineage
        if allow.observed is not None:
            return caller_of(lineage, map(str, allow.observed.missing))
        found = self._callers.get(lineage)
        if found is None:
            if len(self._callers) >= MOST_KEPT:
                self._callers.clear()
            found = self._callers[lineage] = caller_of(lineage)
        return found

    async def close(self) -> None:
        if self._upkeep is not None:
            self._upkeep.cancel()
            await asyncio.gather(self._upkeep, return_exceptions=True)


_MakeVerdict: TypeAlias = Callable[[Verifier, "Allow | Answer"], Verdict]


class _Settling:
    """One call whose body is still to be judged."""

    def __init__(self, verifier: Verifier, sight: Sight, verdict: _MakeVerdict, call: Call, allow: Allow) -> None:
        self._verifier = verifier
        self._sight = sight
        self._verdict = verdict
        self._call = call
        self._allow = allow

    async def __call__(self, value: Json) -> Verdict:
        outcome = admit_with(self._verifier, self._allow, self._call, value, self._sight)
        return self._verdict(self._verifier, outcome)


def caller_of(lineage: Lineage, more: Iterable[str] = ()) -> Caller:
    """What an application may know of a key. ``more`` are the scopes that are forgiven it for this call."""
    return Caller(
        key_id=lineage.key.id,
        account_id=lineage.key.account_id,
        full_access=lineage.grant is None,
        scopes=with_more(tuple(map(str, lineage.grant or ())), more),
        chain=lineage.chain,
    )


async def _keep_up(
    verifier: Verifier, index: Index, store: Store, recording: Recording | None, counters: Counters | None
) -> None:
    """Until cancelled. If this fails in a way that is not foreseen, the gate stays closed until it works again."""
    try:
        async with tidied(counters), written_down(verifier, recording):
            while True:
                try:
                    check(verifier, index, store, recording)
                    await record(verifier, store)
                    await asyncio.to_thread(store.tidy)
                except KeyscopeError as error:
                    log.error("the store cannot be used: %s", error.detail)
                except Exception as error:
                    verifier.closed = Unavailable(type(error).__name__)
                    log.error("the store is not looked after", exc_info=error)
                await asyncio.sleep(UPKEEP_S)
    finally:
        verifier.closed = Unavailable("the program stops")
        index.close()
        await asyncio.shield(record(verifier, store))
        store.close()
        if recording is not None:
            recording.trail.close()
