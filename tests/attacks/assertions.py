"""What a row asserts beside its verdict. An assertion that the runner does not know is an error."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.attacks.outcome import Outcome, Reply
from tests.attacks.verdicts import Case

Check = Callable[[Any, Case], "str | None"]
"""Given the asserted value and the case: what is wrong, or None."""


def upstream_fault(case: Case) -> str | None:
    """The first fault in what reached the upstream."""
    return _first({name: _UPSTREAM[name] for name in case.row.assert_upstream}, case.row.assert_upstream, case)


def response_fault(case: Case) -> str | None:
    """The first fault in the answer. Assertions on several answers are the runner's own."""
    asserted = {name: value for name, value in case.row.assert_response.items() if name not in SEVERAL_ANSWERS}
    return _first({name: _RESPONSE[name] for name in asserted}, asserted, case)


def after_fault(case: Case) -> str | None:
    """The first fault in what the row says of afterwards."""
    return _first({name: _AFTER[name] for name in case.row.assert_after}, case.row.assert_after, case)


SEVERAL_ANSWERS = frozenset({"same_body_as", "json_differs_from_prime", "audit_lines_added"})
"""Assertions that compare with other answers or with the time before; see runner.py."""


def _first(checks: dict[str, Check], asserted: dict[str, Any], case: Case) -> str | None:
    for name, check in checks.items():
        fault = check(asserted[name], case)
        if fault is not None:
            return f"{name}: {fault}"
    return None


def _targets(outcome: Outcome) -> list[str]:
    return [seen.target for seen in outcome.reached]


def _path(wanted: str, case: Case) -> str | None:
    return next((target for target in _targets(case.outcome) if target != wanted), None)


def _path_in(wanted: list[str], case: Case) -> str | None:
    return next((target for target in _targets(case.outcome) if target not in wanted), None)


def _never_path(unwanted: str, case: Case) -> str | None:
    return next((target for target in _targets(case.outcome) if target == unwanted), None)


def _count(wanted: int, case: Case) -> str | None:
    return None if len(case.outcome.reached) == wanted else str(len(case.outcome.reached))


def _token_absent(_: bool, case: Case) -> str | None:
    secret = case.request.secret if case.request is not None else None
    assert secret is not None
    for seen in case.outcome.reached:
        if any(secret in value for _, value in seen.headers) or secret.encode() in seen.body:
            return "the caller's secret went on"
    return None


def _identity(_: bool, case: Case) -> str | None:
    key = case.cast[case.row.key]
    for seen in case.outcome.reached:
        if seen.header("x-keyscope-key-id") != key.id or seen.header("x-keyscope-account-id") != key.account:
            return "the upstream was not told who calls"
    return None


def _host_not(unwanted: str, case: Case) -> str | None:
    return next((unwanted for seen in case.outcome.reached if seen.header("host") == unwanted), None)


def _value_absent(unwanted: str, case: Case) -> str | None:
    fields = (field for seen in case.outcome.reached for field in seen.headers)
    return next((f"{name}: {value}" for name, value in fields if unwanted in value), None)


def _header_substring(wanted: dict[str, str], case: Case) -> str | None:
    reply = _reply(case)
    missing = [name for name, part in wanted.items() if not any(part in value for value in reply.all(name))]
    return f"{missing} in {reply.headers}" if missing else None


def _no_substring(unwanted: dict[str, str], case: Case) -> str | None:
    reply = _reply(case)
    return next((name for name, part in unwanted.items() if any(part in value for value in reply.all(name))), None)


def _present(names: list[str], case: Case) -> str | None:
    return next((name for name in names if not _reply(case).all(name)), None)


def _absent(names: list[str], case: Case) -> str | None:
    return next((name for name in names if _reply(case).all(name)), None)


def _json_has(names: list[str], case: Case) -> str | None:
    return next((name for name in names if name not in _reply(case).json()), None)


def _json_equals(wanted: dict[str, Any], case: Case) -> str | None:
    reply = _reply(case)
    return None if reply.json() == wanted else reply.body.decode("latin-1")


def _key_dead(name: str, case: Case) -> str | None:
    status = case.world.live.call("GET", "/keyscope/me", case.cast[name].secret).status_code
    return None if status == 401 else f"{name} is answered {status}"


def _json_not(unwanted: dict[str, str], case: Case) -> str | None:
    body = _reply(case).json()
    return next((name for name, value in unwanted.items() if body.get(name) == value), None)


def _account(_: str, case: Case) -> str | None:
    """Whether a key that was made belongs to the caller's account: the account's first key can describe it."""
    reply = _reply(case)
    if reply.status != 200:
        return None
    ours = case.cast[case.row.key].account
    key = case.world.store.read(lambda reader: reader.key(reply.json()["id"]))
    return None if key is not None and key.account_id == ours else "the key belongs to another account"


def _key_type(wanted: str, case: Case) -> str | None:
    reply, prefix = _reply(case), {"restricted": "rk_", "standard": "ak_"}[wanted]
    return None if reply.status != 200 or reply.json()["key_secret"].startswith(prefix) else "another kind of key"


def _scopes_echo(_: str, case: Case) -> str | None:
    reply = _reply(case)
    asked = json.loads(case.row.body or "{}")["scopes"]
    return None if reply.status != 200 or reply.json()["scopes"] == asked else "other scopes than asked for"


def _reply(case: Case) -> Reply:
    reply = case.outcome.reply
    return reply if reply is not None else Reply(0, (), b"{}")


_UPSTREAM: dict[str, Check] = {
    "path": _path,
    "path_in": _path_in,
    "never_path": _never_path,
    "count": _count,
    "caller_token_absent": _token_absent,
    "identity_headers_present": _identity,
    "host_not": _host_not,
    "value_absent": _value_absent,
}

_RESPONSE: dict[str, Check] = {
    "header_substring": _header_substring,
    "header_absent_substring": _no_substring,
    "header_present": _present,
    "header_absent": _absent,
    "json_has": _json_has,
    "json_not": _json_not,
    "json_equals": _json_equals,
    "account": _account,
    "key_type": _key_type,
    "scopes_echo": _scopes_echo,
}

_AFTER: dict[str, Check] = {"key_dead": _key_dead}
