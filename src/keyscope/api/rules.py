"""``/keyscope/rules``: what the account asks of its keys. ``/presets`` and ``/lint``: help with choosing scopes."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from keyscope.api.caller import Desk, admitted, in_thread, json_reply, read
from keyscope.api.documented import BODY, responses
from keyscope.api.replies.rules import PresetList, Remarks, RulesView, remark_views, rules_view
from keyscope.api.replies.shape import scope_views
from keyscope.api.requests import LintScopes, ReplaceRules, scopes_of
from keyscope.authority.rules import Rules
from keyscope.policy.advice import preset_restrictions, preset_scopes
from keyscope.policy.linter import remarks


class RuleRoutes:
    """``/keyscope/rules``, ``/keyscope/presets``, ``/keyscope/lint``."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.router = APIRouter(prefix="/keyscope", tags=["keyscope"])
        add = self.router.add_api_route
        add("/rules", self.get, methods=["GET"], operation_id="getRules",
            responses=responses(RulesView, 401, 403))  # fmt: skip
        add("/rules", self.replace, methods=["POST"], operation_id="replaceRules",
            openapi_extra=BODY(ReplaceRules, required=True),
            responses=responses(RulesView, 400, 401, 403, 413, 415))  # fmt: skip
        add("/presets", self.presets, methods=["GET"], operation_id="listPresets",
            responses=responses(PresetList, 401))  # fmt: skip
        add("/lint", self.lint, methods=["POST"], operation_id="lintScopes",
            openapi_extra=BODY(LintScopes, required=True),
            responses=responses(Remarks, 400, 401, 413, 415))  # fmt: skip

    async def get(self, request: Request) -> Response:
        """What the account asks of its keys."""
        caller = admitted(request, self._desk)
        account_id = caller.lineage.key.account_id
        return json_reply(rules_view(await in_thread(lambda: self._desk.rules.show(account_id))))

    async def replace(self, request: Request) -> Response:
        """Replace all rules of the account. They bind what is minted or changed from then on. Standard keys only."""
        caller = admitted(request, self._desk)
        asked, _ = await read(request, self._desk, ReplaceRules)
        rules, replace = _rules(asked), self._desk.rules.replace
        return json_reply(rules_view(await in_thread(lambda: replace(caller.lineage, rules, caller.origin))))

    async def presets(self, request: Request) -> Response:
        """The named sets of scopes of the policy, with what there is to think of about each."""
        admitted(request, self._desk)
        policy = self._desk.policy
        views = [
            {
                "name": preset.name,
                "about": preset.about,
                "scopes": scope_views(preset.scopes),
                "restrictions": preset.restrictions.plain if preset.restrictions is not None else None,
                "remarks": remark_views(remarks(policy, preset.scopes, preset.restrictions)),
            }
            for preset in policy.presets
        ]
        return json_reply({"presets": views})

    async def lint(self, request: Request) -> Response:
        """What there is to think of before a key with these scopes is minted."""
        admitted(request, self._desk)
        asked, _ = await read(request, self._desk, LintScopes)
        policy = self._desk.policy
        named = preset_scopes(policy.presets, asked.preset) if asked.preset is not None else scopes_of(asked.scopes)
        restrictions = preset_restrictions(policy.presets, asked.preset, asked.restrictions)
        return json_reply({"remarks": remark_views(remarks(policy, named, restrictions))})


def _rules(asked: ReplaceRules) -> Rules:
    allowed = asked.allowed_scopes
    return Rules(
        max_lifetime_ms=asked.max_lifetime_ms,
        require_expiry=asked.require_expiry,
        max_idle_ms=asked.max_idle_ms,
        allowed_scopes=tuple(map(str, scopes_of(allowed))) if allowed is not None else None,
        name_pattern=asked.name_pattern,
    )
