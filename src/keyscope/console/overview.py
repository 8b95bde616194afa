"""The first page, for three in the morning: which keys there are, what ends soon, what was refused and changed."""

from __future__ import annotations

from collections import Counter

from msgspec import Struct
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from keyscope.authority.ports import KeyQuery, Reader
from keyscope.authority.trail import EntryQuery, Verdict
from keyscope.console.entries import Line, lines, trail_of, visible
from keyscope.console.kit import LIST, STANDARD_LIST, Context, Kit, page, redirect
from keyscope.console.visitor import Visitor
from keyscope.console.words import DAY_MS
from keyscope.model.key import Lineage, State
from keyscope.model.token import Kind

SOON_MS = 7 * DAY_MS
_SHOWN = 6
_LOOKED_AT = 500


class Tally(Struct, frozen=True):
    """How many keys of one state there are."""

    state: State
    restricted: int
    standard: int

    @property
    def all(self) -> int:
        return self.restricted + self.standard


class Refused(Struct, frozen=True):
    """A key by its last refusal, and how often it was refused."""

    last: Line
    times: int


class OverviewPages:
    """``/``."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self.routes = [page("", self.show)]

    async def show(self, request: Request) -> Response:
        visitor = await self._kit.visitor(request)
        if not (visitor.may("GET", LIST) and visitor.may("GET", STANDARD_LIST)):
            return redirect("/me")
        return await self._kit.page(visitor, "overview.html", lambda: self._context(visitor))

    def _context(self, visitor: Visitor) -> Context:
        now_ms = self._kit.desk.clock.now_ms()

        def work(reader: Reader) -> Context:
            return {
                "tallies": [_tally(reader, visitor.account_id, state, now_ms) for state in State],
                "ending": _ending(reader, visitor.account_id, now_ms),
            }

        held = self._kit.desk.holds.waiting(visitor.account_id) if visitor.key.is_standard else 0
        return {**self._kit.desk.store.read(work), **self._trail(visitor, now_ms), "held": held}

    def _trail(self, visitor: Visitor, now_ms: int) -> Context:
        """What was refused most in a day, and what was changed last, as far as the visitor may see that."""
        trail, store = trail_of(visitor), self._kit.desk.store
        if trail is None:
            return {"changes": None, "refused": None}
        asked = EntryQuery(account_id=visitor.account_id, limit=_SHOWN, within=visible(store, visitor))
        refusals = replace(asked, limit=_LOOKED_AT, verdict=Verdict.DENIED, since_ms=now_ms - DAY_MS)
        return {
            "changes": lines(store, trail, replace(asked, verdict=Verdict.CHANGED))[0],
            "refused": _most(lines(store, trail, refusals)[0]),
        }


def _tally(reader: Reader, account_id: str, state: State, now_ms: int) -> Tally:
    def total(kind: Kind) -> int:
        query = KeyQuery(account_id=account_id, kind=kind, now_ms=now_ms, limit=1, status=state)
        return reader.keys(query).total

    return Tally(state, total(Kind.RESTRICTED), total(Kind.STANDARD))


def _ending(reader: Reader, account_id: str, now_ms: int) -> list[Lineage]:
    """The active keys that end within a week, soonest first."""
    found: list[Lineage] = []
    for kind in Kind:
        query = KeyQuery(
            account_id=account_id,
            kind=kind,
            now_ms=now_ms,
            limit=_LOOKED_AT,
            status=State.ACTIVE,
            expires_before_ms=now_ms + SOON_MS,
        )
        found += reader.keys(query).items
    return sorted(found, key=lambda line: line.expires_at_ms)[:_SHOWN]


def _most(found: tuple[Line, ...]) -> list[Refused]:
    """The keys that were refused most, and what each lacked or was."""
    times: Counter[str] = Counter()
    last: dict[str, Line] = {}
    for line in found:
        if line.entry.key_id is not None:
            times[line.entry.key_id] += line.entry.times
            last.setdefault(line.entry.key_id, line)
    return [Refused(last[key_id], number) for key_id, number in times.most_common(_SHOWN)]
