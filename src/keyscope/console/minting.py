"""Mint a key: the grid, presets, what the choice comes to, and once the secret.

The secret is in the answer to the POST and nowhere else. The form carries a random text that counts once, so loading
the answer again mints nothing and shows nothing.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from keyscope.api.bound import run_asked
from keyscope.api.caller import call_of, in_thread
from keyscope.api.plain import base_url
from keyscope.api.requests import CreateApiKey, CreateRestrictedKey, checked, scopes_of
from keyscope.authority.mint import Minted, Wanted
from keyscope.console import grid
from keyscope.console.kit import LIST, STANDARD_LIST, Context, Form, Kit, page
from keyscope.console.lifetime import DEFAULT, LENGTHS, read_expiry
from keyscope.console.once import counting_once
from keyscope.console.restricted import FIELD, chosen, sentences, typed_in
from keyscope.console.run_fields import typed_run
from keyscope.console.summary import summary
from keyscope.console.visitor import Visitor
from keyscope.errors import BadRequest, ExceedsParent, KeyscopeError
from keyscope.model.restrictions import Restrictions
from keyscope.model.scope import Grant, Level, Scope
from keyscope.model.token import Kind
from keyscope.policy.advice import preset_scopes
from keyscope.policy.linter import remarks

_PATHS = {Kind.RESTRICTED: LIST, Kind.STANDARD: STANDARD_LIST}
_DO, _MINT, _PRESET = "do", "mint", "preset."
_CLEAR, _READ_ONLY = "clear", "read-only"


class Made(Struct, frozen=True):
    """What the one answer shows of a new key; ``secret`` is its text."""

    id: str
    name: str
    kind: Kind
    secret: str
    scopes: list[str]
    expires_at_ms: int | None


class MintPages:
    """``/keys/new`` for restricted keys, ``/keys/new/standard`` for standard ones."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self.routes = [
            page("/keys/new", self.show),
            page("/keys/new", self.post, "POST"),
            page("/keys/new/standard", self.show_standard),
            page("/keys/new/standard", self.post_standard, "POST"),
        ]

    async def show(self, request: Request) -> Response:
        return await self._form(await self._visitor(request, Kind.RESTRICTED), Kind.RESTRICTED, {})

    async def show_standard(self, request: Request) -> Response:
        return await self._form(await self._visitor(request, Kind.STANDARD), Kind.STANDARD, {})

    async def post(self, request: Request) -> Response:
        """Mint; or show the form again, with a preset chosen or with what the choice comes to."""
        visitor, form = await self._kit.posted(request)
        visitor.require("POST", LIST)
        if form.get(_DO) != _MINT:
            return await self._form(visitor, Kind.RESTRICTED, form)
        return await self._mint(request, visitor, Kind.RESTRICTED, form)

    async def post_standard(self, request: Request) -> Response:
        visitor, form = await self._kit.posted(request)
        visitor.require("POST", STANDARD_LIST)
        return await self._mint(request, visitor, Kind.STANDARD, form)

    async def _visitor(self, request: Request, kind: Kind) -> Visitor:
        visitor = await self._kit.visitor(request)
        visitor.require("POST", _PATHS[kind])
        return visitor

    async def _mint(self, request: Request, visitor: Visitor, kind: Kind, form: Form) -> Response:
        desk, url = self._kit.desk, base_url(self._kit.desk, call_of(request).headers)
        try:
            wanted = self._wanted(kind, form)
            mint = desk.minting.mint
            repeat = counting_once(form, f"mint {kind}", self._kit.sessions.token())
            raw = await in_thread(lambda: mint(visitor.lineage, wanted, visitor.origin, _shown, repeat))
        except (BadRequest, ExceedsParent) as error:
            return await self._form(visitor, kind, form, error)
        made = msgspec.json.decode(raw, type=Made)
        shown: Context = {"made": made, "url": url, "policy": desk.policy.name, "old_until_ms": None, "receipt": None}
        return await self._kit.page(visitor, "secret.html", lambda: shown)

    def _wanted(self, kind: Kind, form: Form) -> Wanted:
        expires_at_ms = read_expiry(form, self._kit.desk.clock.now_ms())
        asked: dict[str, Any] = {"expires_at_ms": expires_at_ms}
        if form.get("name", "").strip():
            asked["name"] = form["name"].strip()
        if kind is Kind.STANDARD:
            sound = checked(asked, [], CreateApiKey, self._kit.desk.context)
            return Wanted(kind=kind, name=sound.name, expires_at_ms=sound.expires_at_ms)
        asked["scopes"] = [scope.entry for scope in grid.read_scopes(form, self._kit.desk.policy)]
        asked["restrictions"] = typed_in(form)
        run = typed_run(form)
        if run is not None:
            asked["run"] = run
        whole = checked(asked, [], CreateRestrictedKey, self._kit.desk.context)
        scopes = scopes_of(whole.scopes)
        return Wanted(
            kind=kind,
            name=whole.name,
            scopes=scopes,
            expires_at_ms=whole.expires_at_ms,
            restrictions=whole.restrictions,
            run=run_asked(whole.run, self._kit.desk.policy),
        )

    async def _form(self, visitor: Visitor, kind: Kind, form: Form, error: KeyscopeError | None = None) -> Response:
        scopes = self._chosen(form) if kind is Kind.RESTRICTED else ()
        most = visitor.lineage.grant
        context = {
            "kind": kind,
            "error": error,
            "form": form,
            "once": self._kit.sessions.token(),
            "lengths": LENGTHS,
            "expires": form.get("expires", DEFAULT),
            "rows": grid.rows(self._kit.desk.policy, scopes, most),
            "presets": self._kit.desk.policy.presets,
            "restrictions": form.get(FIELD, ""),
            "shows_ends": self._kit.desk.policy.shows_ends,
            **advice(self._kit, scopes, most, chosen(form)),
        }
        name = "mint_standard.html" if kind is Kind.STANDARD else "mint.html"
        return await self._kit.page(visitor, name, lambda: context, status=200 if error is None else 400)

    def _chosen(self, form: Form) -> tuple[Scope, ...]:
        """The scopes of the form, or of the preset whose button was pressed."""
        done = form.get(_DO, "")
        if done.startswith(_PRESET):
            return preset_scopes(self._kit.desk.policy.presets, done.removeprefix(_PRESET))
        if done == _READ_ONLY:
            return tuple(Scope(name, Level.READ) for name in self._kit.desk.policy.resource_names)
        return () if done == _CLEAR else grid.read_scopes(form, self._kit.desk.policy)


def advice(
    kit: Kit, scopes: tuple[Scope, ...], most: Grant | None, restrictions: Restrictions | None = None
) -> Context:
    """What a choice of scopes and restrictions comes to, in words, and what there is to think of."""
    grant = Grant(scopes) if most is None else Grant(scopes).meet(most)
    kept = grant.scopes()
    return {
        "summary": summary(kit.desk.policy, grant),
        "sentences": [*sentences(restrictions)],
        "remarks": remarks(kit.desk.policy, kept, restrictions),
    }


def _shown(minted: Minted) -> bytes:
    key = minted.key
    made = Made(key.id, key.name, key.kind, minted.secret.reveal(), [*map(str, key.scopes)], key.expires_at_ms)
    return msgspec.json.encode(made)
