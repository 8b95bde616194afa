"""Judge by asking a Keyscope server: for applications on other hosts. The refusals are the server's own."""

from __future__ import annotations

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from keyscope.authority.refusing import passes_later
from keyscope.client.answers import Answer as Said
from keyscope.client.answers import Objection as SaidObjection
from keyscope.client.verifiers import AsyncVerifier
from keyscope.errors import InsufficientScope, InvalidToken, NotFound, NotInPolicy, RateLimited, Restricted
from keyscope.gate.judge import Caller, Pending, Verdict, with_more
from keyscope.model.body import Json
from keyscope.model.derived import is_derived
from keyscope.model.objection import Objection, Reason
from keyscope.model.scope import Scope
from keyscope.model.token import is_token
from keyscope.wire.bearer import find_bearer
from keyscope.wire.call import Call
from keyscope.wire.problem import Answer, Refusal, answer
from keyscope.wire.refusal import retry_after_s


class RemoteJudge:
    """Asks through a verifier, whose rules say how old an answer may be."""

    def __init__(self, verifier: AsyncVerifier, *, knows_peer: bool = False) -> None:
        """``knows_peer``: the peer of a call is surely who called."""
        self._verifier = verifier
        self._knows_peer = knows_peer

    def open(self) -> None:
        """The verifier begins with its first question."""

    async def admit(self, call: Call) -> Verdict | Pending:
        token = find_bearer(call.headers)
        if not (is_token(token) or is_derived(token)):
            raise InvalidToken("not a key's text")
        return await self._ask(call, token.decode("ascii"), UNSET)

    async def _ask(self, call: Call, key: str, body: Json | UnsetType) -> Verdict | Pending:
        peer = call.peer if self._knows_peer and call.peer else None
        said = await self._verifier.verify(key, method=call.matched_method, path=call.path, body=body, peer=peer)
        if not said.valid or said.key is None:
            raise InvalidToken("the server does not know it as good")
        if not said.allowed:
            return _refusal(said)
        if said.judged_by_body and body is UNSET:
            return Pending(_Settling(self, call, key))
        return Caller(
            key_id=said.key.id,
            account_id=said.key.account_id,
            full_access=said.key.full_access,
            scopes=with_more(said.key.scopes, said.observed_scopes),
            chain=said.chain,
        )

    async def close(self) -> None:
        await self._verifier.aclose()


class _Settling:
    """One call whose body is still to be judged."""

    def __init__(self, judge: RemoteJudge, call: Call, key: str) -> None:
        self._judge = judge
        self._call = call
        self._key = key

    async def __call__(self, value: Json) -> Verdict:
        verdict = await self._judge._ask(self._call, self._key, value)
        if isinstance(verdict, Pending):
            raise InvalidToken("a body that was shown is not asked for again")
        return verdict


def _refusal(said: Said) -> Answer:
    """The built-in gate's 403, or its 404."""
    if said.is_hidden:
        return answer(NotFound())
    told = Refusal(
        message=" ".join([said.message, *said.next]),
        operation=said.operation,
        missing=tuple(map(Scope.parse, said.missing_scopes)),
        objections=tuple(map(_objection, said.objections)),
        next=said.next,
    )
    if Reason.NOT_IN_POLICY in said.reasons:
        return answer(NotInPolicy(), told)
    if passes_later(map(Reason, said.reasons)):
        return answer(RateLimited(), replace(told, retry_after_s=retry_after_s(told.objections)))
    return answer(InsufficientScope() if said.missing_scopes else Restricted(), told)


def _objection(said: SaidObjection) -> Objection:
    return Objection(Reason(said.reason), said.message, said.remedy, said.holder, wait_ms=said.wait_ms)
