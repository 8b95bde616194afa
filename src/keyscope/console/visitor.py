"""Who is signed in, and may they: the key of the session, judged anew with each request, by the table of the API.

What a page shows or does is named as the call of the API that would show or do the same. So the console gives a key
exactly the powers that it has without it.
"""

from __future__ import annotations

from hmac import compare_digest

from msgspec import Struct
from starlette.requests import Request

from keyscope.api.caller import Desk, call_of, in_thread
from keyscope.authority.ports import Session
from keyscope.authority.sessions import Sessions
from keyscope.authority.trail import Attempt
from keyscope.console import cookie
from keyscope.errors import CrossSite
from keyscope.model.access import Access
from keyscope.model.decision import Allow, Decision, Deny, decide
from keyscope.model.event import Origin
from keyscope.model.key import Key, Lineage, State
from keyscope.wire.call import request_id


class SignedOut(Exception):
    """There is no session, or it has ended. ``had_one``: the browser believes that there is one."""

    def __init__(self, *, had_one: bool) -> None:
        super().__init__("no session")
        self.had_one = had_one


class Denied(Exception):
    """The visitor's key does not cover what the page does."""

    def __init__(self, decision: Deny, method: str, path: str) -> None:
        super().__init__(path)
        self.decision = decision
        self.method = method
        self.path = path


class Visitor(Struct, frozen=True):
    """A signed-in key."""

    desk: Desk
    session: Session
    lineage: Lineage
    origin: Origin

    @property
    def key(self) -> Key:
        return self.lineage.key

    @property
    def account_id(self) -> str:
        return self.lineage.key.account_id

    @property
    def csrf(self) -> str:
        """What every form of this session carries."""
        return self.session.csrf.hex()

    def may(self, method: str, path: str) -> bool:
        """Whether the key covers this call of the API; for showing a link or not."""
        return isinstance(self._decide(method, path), Allow)

    def manages(self, target: Lineage) -> bool:
        """Whether the key may change that one, as far as the tree goes (law 2)."""
        return self.key.is_standard or self.key.id in target.ids

    def require(self, method: str, path: str) -> None:
        """Raise Denied unless the key covers this call of the API. Goes into the record as the call itself would."""
        decision = self._decide(method, path)
        if isinstance(decision, Deny):
            attempt = Attempt(method=method, path=path, peer=self.origin.peer, request_id=self.origin.request_id)
            self.desk.verifier.note_denied(decision, attempt)
            raise Denied(decision, method, path)
        self.desk.verifier.note_use(decision)

    def check_token(self, token: str | None) -> None:
        """Raise CrossSite unless a form carries the session's token."""
        if token is None or not compare_digest(token.encode(), self.csrf.encode()):
            raise CrossSite("the form's token")

    def _decide(self, method: str, path: str) -> Decision:
        verifier = self.desk.verifier
        route = verifier.route(method, path)
        needs = route.needs if route is not None else ()
        return decide(self.lineage, Access(route, needs, self.desk.clock.now_ms()))


async def find_visitor(request: Request, desk: Desk, sessions: Sessions, *, secure: bool) -> Visitor:
    """The visitor. Raises SignedOut and Unavailable."""
    call = call_of(request)
    session_id = cookie.read(call.headers, secure)
    if session_id is None:
        raise SignedOut(had_one=False)
    session = await in_thread(lambda: sessions.find(session_id))
    # The index belongs to this thread; and it sees a revocation that was committed a moment ago.
    lineage = desk.verifier.by_digest(session.key_digest) if session is not None else None
    now_ms = desk.clock.now_ms()
    if session is None or lineage is None or lineage.state_at(now_ms) is not State.ACTIVE:
        raise SignedOut(had_one=True)
    return Visitor(desk, session, lineage, Origin(lineage.chain, call.peer, request_id(call.headers)))
