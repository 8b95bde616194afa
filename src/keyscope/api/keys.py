"""``/v1/restricted_keys`` and ``/v1/apikeys``: create as Runloop does, list, describe, update."""

from __future__ import annotations

from functools import partial

from fastapi import Request
from fastapi.responses import Response
from msgspec import UNSET

from keyscope.api import requests
from keyscope.api.bound import run_asked
from keyscope.api.caller import Caller, admitted, call_of, in_thread, json_reply, number, one, read, repeatable
from keyscope.api.documented import BODY, LIST_PARAMETERS, WAITING, responses
from keyscope.api.kinds import VIEWS, KindRoutes, Models
from keyscope.api.replies.keys import (
    ApiKeyCreated,
    ApiKeyList,
    RestrictedKeyCreated,
    RestrictedKeyList,
    key_view,
    render_created,
)
from keyscope.api.replies.shape import spent_view
from keyscope.api.taking import taking, wait_of
from keyscope.authority.lifecycle import Change
from keyscope.authority.mint import Wanted
from keyscope.authority.ports import KeyQuery
from keyscope.errors import BadRequest, Fault
from keyscope.model.key import Lineage, State
from keyscope.model.restrictions import Restrictions
from keyscope.model.scope import Scope
from keyscope.model.token import Kind
from keyscope.policy.advice import preset_restrictions, preset_scopes

MAX_LIMIT = 5000
DEFAULT_LIMIT = 20

_CREATES = {Kind.RESTRICTED: requests.CreateRestrictedKey, Kind.STANDARD: requests.CreateApiKey}
_UPDATES = {Kind.RESTRICTED: requests.UpdateRestrictedKey, Kind.STANDARD: requests.UpdateApiKey}
_CREATED: Models = {Kind.RESTRICTED: RestrictedKeyCreated, Kind.STANDARD: ApiKeyCreated}
_LISTS: Models = {Kind.RESTRICTED: RestrictedKeyList, Kind.STANDARD: ApiKeyList}
_MEMBER = {Kind.RESTRICTED: "restricted_keys", Kind.STANDARD: "api_keys"}


class KeyRoutes(KindRoutes):
    """The four operations on one kind of key."""

    def _add_routes(self, word: str) -> None:
        kind, add = self._kind, self.router.add_api_route
        create, update = BODY(_CREATES[kind]), BODY(_UPDATES[kind]) | WAITING
        lists = {"parameters": LIST_PARAMETERS}
        add("", self.create, methods=["POST"], operation_id=f"create{word}", openapi_extra=create,
            responses=responses(_CREATED[kind], 400, 401, 403, 409, 413, 415))  # fmt: skip
        add("", self.list_keys, methods=["GET"], operation_id=f"list{word}s", openapi_extra=lists,
            responses=responses(_LISTS[kind], 400, 401, 403))  # fmt: skip
        add("/{key_id}", self.get, methods=["GET"], operation_id=f"get{word}",
            responses=responses(VIEWS[kind], 400, 401, 403, 404))  # fmt: skip
        add("/{key_id}", self.update, methods=["POST"], operation_id=f"update{word}", openapi_extra=update,
            responses=responses(VIEWS[kind], 400, 401, 403, 404, 413, 415))  # fmt: skip

    async def create(self, request: Request) -> Response:
        """Create a key. The reply holds its secret, which is shown here and never again."""
        caller = admitted(request, self._desk)
        asked, raw = await read(request, self._desk, _CREATES[self._kind])
        scopes = self._scopes(asked)
        wanted = Wanted(
            kind=self._kind,
            name=asked.name,
            scopes=scopes,
            expires_at_ms=asked.expires_at_ms,
            restrictions=self._restrictions(asked),
            run=run_asked(asked.run, self._desk.policy) if isinstance(asked, requests.CreateRestrictedKey) else None,
        )
        repeat = repeatable(call_of(request), caller, raw)
        mint = self._desk.minting.mint
        return json_reply(await in_thread(lambda: mint(caller.lineage, wanted, caller.origin, render_created, repeat)))

    def _scopes(self, asked: requests.CreateApiKey) -> tuple[Scope, ...]:
        if not isinstance(asked, requests.CreateRestrictedKey):
            return ()
        if asked.preset is not None:
            return preset_scopes(self._desk.policy.presets, asked.preset)
        return requests.scopes_of(asked.scopes)

    def _restrictions(self, asked: requests.CreateApiKey) -> Restrictions | None:
        if not isinstance(asked, requests.CreateRestrictedKey):
            return None
        return preset_restrictions(self._desk.policy.presets, asked.preset, asked.restrictions)

    async def list_keys(self, request: Request) -> Response:
        """List the account's keys, newest first."""
        caller = admitted(request, self._desk)
        query = self._query(request, caller)
        page, details = await in_thread(lambda: self._desk.lifecycle.list(query))
        counted = one(request, "include_total_count", "true") != "false"
        return json_reply(
            {
                _MEMBER[self._kind]: [key_view(detail, query.now_ms) for detail in details],
                "has_more": page.has_more,
                "total_count": page.total if counted else None,
            }
        )

    async def get(self, request: Request, key_id: str) -> Response:
        """Describe one key."""
        caller = admitted(request, self._desk)
        account_id = caller.lineage.key.account_id
        detail = await in_thread(lambda: self._desk.lifecycle.describe(account_id, self._kind, key_id))
        return json_reply({**key_view(detail, self._desk.clock.now_ms()), **self._spent(detail.lineage)})

    def _spent(self, lineage: Lineage) -> dict[str, object]:
        return spent_view(self._desk.verifier.spent(lineage)) if self._kind is Kind.RESTRICTED else {}

    async def update(self, request: Request, key_id: str) -> Response:
        """Rename a key, change its scopes, shorten or extend its life, within what its parent has."""
        caller = admitted(request, self._desk)
        asked, _ = await read(request, self._desk, _UPDATES[self._kind])
        change = _change(asked)
        work = partial(self._desk.lifecycle.update, caller.lineage, self._kind, key_id, change, caller.origin)
        detail, receipt = await taking(work, wait_of(request, caller, key_id))
        return json_reply({**key_view(detail, self._desk.clock.now_ms()), **receipt})

    def _query(self, request: Request, caller: Caller) -> KeyQuery:
        faults: list[Fault] = []
        query = KeyQuery(
            account_id=caller.lineage.key.account_id,
            kind=self._kind,
            now_ms=self._desk.clock.now_ms(),
            limit=number(request, "limit", faults, least=1, most=MAX_LIMIT) or DEFAULT_LIMIT,
            starting_after=one(request, "starting_after"),
            name=one(request, "name"),
            status=_status(request, faults),
            resource=self._resource(request, faults),
            created_by=one(request, "created_by"),
            expires_before_ms=number(request, "expires_before_ms", faults),
            last_used_before_ms=number(request, "last_used_before_ms", faults),
        )
        if faults:
            raise BadRequest("query", faults)
        return query

    def _resource(self, request: Request, faults: list[Fault]) -> str | None:
        word = one(request, "resource_type")
        if word is not None and word not in self._desk.wire_types:
            faults.append(Fault("query.resource_type", f"use one of {', '.join(self._desk.wire_types)}"))
        return word.removeprefix("RESOURCE_TYPE_").lower() if word is not None else None


def _change(asked: requests.UpdateApiKey) -> Change:
    given = asked.model_fields_set
    entries = asked.scopes if isinstance(asked, requests.UpdateRestrictedKey) else None
    restrictions = asked.restrictions if isinstance(asked, requests.UpdateRestrictedKey) else None
    return Change(
        name=asked.name if "name" in given and asked.name is not None else UNSET,
        scopes=requests.scopes_of(entries) if "scopes" in given else UNSET,
        expires_at_ms=asked.expires_at_ms if "expires_at_ms" in given else UNSET,
        restrictions=restrictions if "restrictions" in given else UNSET,
    )


def _status(request: Request, faults: list[Fault]) -> State | None:
    word = one(request, "status")
    if word is None:
        return None
    try:
        return State(word)
    except ValueError:
        faults.append(Fault("query.status", f"use one of {', '.join(State)}"))
        return None
