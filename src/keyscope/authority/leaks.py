"""Keys that were found where anybody can read them: what is recorded, and what is ended.

Only what leaked ends. The present secret of a key ends the key and its tree, an earlier secret ends alone, and so does
a derived key. What is ended or over already stays as it is. A report may come again, sent anew by its sender or by
somebody who kept it: with ``once`` each secret is acted on once, so a key that its owner brought back after a leak
stays, and the record does not grow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from keyscope.authority.derivation import revoke_link
from keyscope.authority.lifecycle import revoke
from keyscope.authority.lookup import key_event
from keyscope.authority.ports import Clock, Reader, Store, StoredLeak, Writer
from keyscope.model.event import EventKind, Origin
from keyscope.model.key import Key, Lineage, State

REASON = "leaked"
_AT_ONCE = 100
"""Reports in one transaction: one of many must not keep other changes waiting."""
_OVER = (State.REVOKED, State.EXPIRED)


class Ended(StrEnum):
    """What a report ended."""

    KEY = "key"
    EARLIER = "earlier_secret"
    DERIVED = "derived_key"


class Reported(Struct, frozen=True):
    """A key as its leaked text shows it, the SHA-256 digest of that text, and where it was found."""

    lineage: Lineage
    digest: bytes
    where: str | None = None


class Policy(Struct, frozen=True):
    """What to do with reports of one kind. ``source`` goes into the record."""

    source: str
    revoke: bool
    once: bool


class Leaks:
    """Takes reports. ``barred`` is shared with the verifier of this process."""

    def __init__(self, store: Store, clock: Clock, barred: set[str]) -> None:
        self._store = store
        self._clock = clock
        self._barred = barred

    def report(self, reports: Sequence[Reported], policy: Policy, origin: Origin) -> list[Ended | None]:
        """Record the reports and end what leaked; what each ended, in order. Durable once this returns.

        This process refuses a key that is to be ended before the store has answered, and goes on if the store fails.
        Raises StoreUnavailable; what was done before stays done, and reporting again does the rest.
        """
        ended: list[Ended | None] = []
        for start in range(0, len(reports), _AT_ONCE):
            ended += self._together(reports[start : start + _AT_ONCE], policy, origin)
        return ended

    def _together(self, reports: Sequence[Reported], policy: Policy, origin: Origin) -> list[Ended | None]:
        names = self._store.read(lambda reader: set(_to_bar(reader, reports, policy, self._clock.now_ms())))
        self._barred |= names

        def work(writer: Writer) -> list[Ended | None]:
            now_ms = self._clock.now_ms()
            return [_take(writer, report, policy, origin, now_ms) for report in reports]

        ended = self._store.write(work)
        self._barred -= names
        return ended


def _to_bar(reader: Reader, reports: Sequence[Reported], policy: Policy, now_ms: int) -> Iterator[str]:
    """The key and link ids that the reports will end. An earlier secret has no id to bar it by."""
    for report in reports:
        if policy.revoke and not _is_settled(reader, report, policy):
            key = reader.key(report.lineage.key.id)
            if report.lineage.derived:
                yield report.lineage.derived[-1]
            elif key is not None and key.digest == report.digest and key.state_at(now_ms) not in _OVER:
                yield key.id


def _is_settled(reader: Reader, report: Reported, policy: Policy) -> bool:
    """Whether all that is to be done about this secret was done when it was first reported."""
    known = reader.leak(report.digest)
    return policy.once and known is not None and (known.revoked or not policy.revoke)


def _take(writer: Writer, report: Reported, policy: Policy, origin: Origin, now_ms: int) -> Ended | None:
    key = writer.key(report.lineage.key.id)
    if key is None or _is_settled(writer, report, policy):
        return None
    known = writer.leak(report.digest)
    ended = _end(writer, report, key, origin, now_ms) if policy.revoke else None
    if known is None or ended is not None:
        changes = {"source": policy.source, "where": report.where, "ended": ended}
        changes |= {"derived_id": report.lineage.derived[-1]} if report.lineage.derived else {}
        writer.add_event(key_event(EventKind.KEY_LEAK_REPORTED, key, origin, now_ms, **changes))
    writer.put_leak(StoredLeak(report.digest, key.id, known.at_ms if known is not None else now_ms, policy.revoke))
    return ended


def _end(writer: Writer, report: Reported, key: Key, origin: Origin, now_ms: int) -> Ended | None:
    if report.lineage.derived:
        is_new = revoke_link(writer, key, report.lineage.derived[-1], REASON, origin, now_ms)
        return Ended.DERIVED if is_new else None
    if key.digest != report.digest:
        return _end_former(writer, report, key, now_ms)
    if key.state_at(now_ms) in _OVER:
        return None
    below = writer.descendants(key.id)
    revoke(writer, key, REASON, origin, now_ms, sum(lower.state_at(now_ms) is not State.REVOKED for lower in below))
    return Ended.KEY


def _end_former(writer: Writer, report: Reported, key: Key, now_ms: int) -> Ended | None:
    """End the overlap of an earlier secret. The key has another one by now, and lives on."""
    former = next((former for former in writer.formers(key.id) if former.digest == report.digest), None)
    if former is None or former.until_ms <= now_ms:
        return None
    writer.put_former(replace(former, until_ms=now_ms))
    return Ended.EARLIER
