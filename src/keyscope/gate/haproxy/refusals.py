"""What HAProxy has refused by itself, for the audit trail: it writes a line of JSON for each, and this reads it.

HAProxy keeps the lines in a buffer of its own until they are read, so a reader that is late loses none, unless they are
more than the buffer has room for.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

import msgspec

from keyscope.authority.copying import Keys
from keyscope.authority.ledger import Ledger
from keyscope.authority.trail import DENIED, MOST_PATH, Attempt, Entry
from keyscope.errors import InsufficientScope
from keyscope.gate.haproxy.entries import holder_of
from keyscope.gate.haproxy.routes import Row
from keyscope.model.objection import Reason
from keyscope.model.shown import shown
from keyscope.wire.call import request_id

log = logging.getLogger(__name__)

MOST_WAITING = 5_000
"""Lines between two takings; further ones are counted by code and peer alone."""


class Refusal(msgspec.Struct, frozen=True):
    """A line, as the configuration has it. What does not apply is empty."""

    at: int
    code: str
    peer: str
    method: str = ""
    path: str = ""
    request_id: str = ""
    holder: str = ""
    needs: str = ""


_NOTHING = '"-"'
"""What HAProxy writes where there is no value."""
_decode = msgspec.json.Decoder(Refusal).decode


class Refusals:
    """Collects them, and adds them to the ledger when asked."""

    def __init__(self, keys: Keys, rows: Mapping[int, Row]) -> None:
        self._keys = keys
        self._rows = rows
        self._lines: list[Refusal] = []
        self._beyond: dict[tuple[str, str], int] = {}

    def heard(self, line: str) -> None:
        """A line of HAProxy's."""
        if not line.startswith("{") or '"code":"-"' in line:
            return  # what HAProxy says of its parts, and of connections that brought no request
        try:
            refusal = _decode(line.replace(_NOTHING, '""'))
        except msgspec.DecodeError:
            log.exception("a refusal by HAProxy is not written down, because its line cannot be read")
            return
        if len(self._lines) < MOST_WAITING:
            self._lines.append(refusal)
        else:
            kind = (refusal.code, refusal.peer)
            self._beyond[kind] = self._beyond.get(kind, 0) + 1

    def add_to(self, ledger: Ledger, now_ms: int) -> None:
        """Give the ledger all that was heard since the last time. Raises StoreUnavailable; then nothing is lost."""
        chains = self._chains({holder_of(one.holder)[0] for one in self._lines if one.holder})
        for one in self._lines:
            if one.holder:
                ledger.add(self._entry(one, chains))
            else:
                ledger.refused(one.code, Attempt(peer=one.peer), one.at)
        for (code, peer), times in self._beyond.items():
            ledger.add(Entry(at_ms=now_ms, kind=DENIED, code=code, peer=peer, times=times))
        self._lines, self._beyond = [], {}

    def _chains(self, key_ids: set[str]) -> dict[str, tuple[str, ...]]:
        if not key_ids:
            return {}
        found = self._keys.read(lambda reader: [reader.lineage(key_id) for key_id in key_ids])
        return {lineage.key.id: lineage.chain for lineage in found if lineage is not None}

    def _entry(self, one: Refusal, chains: Mapping[str, tuple[str, ...]]) -> Entry:
        key_id, account_id = holder_of(one.holder)
        row = self._rows.get(int(one.needs or 0))
        return Entry(
            at_ms=one.at,
            kind=DENIED,
            account_id=account_id,
            key_id=key_id,
            chain=chains.get(key_id, (key_id,)),
            operation=row.operation if row is not None else None,
            method=one.method,
            path=shown(one.path, MOST_PATH),
            code=InsufficientScope.code,
            reasons=(Reason.MISSING_SCOPE.value,),
            missing=tuple(map(str, row.scopes)) if row is not None else (),
            peer=one.peer,
            request_id=request_id([(b"x-request-id", one.request_id.encode())]),
        )
