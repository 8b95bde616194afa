"""``keyscope plan``: the smallest key for the calls in a file, why it needs each scope, and how to mint it."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from typing import Any

import click
import msgspec

from keyscope.cli.client import connect
from keyscope.cli.keys import RESTRICTED, expires_in_option, print_secret, secret_only_option
from keyscope.cli.options import as_json, option
from keyscope.cli.output import duration, note, print_json, print_table
from keyscope.model.body import BodyCondition, JsonPath
from keyscope.model.operation import Operation, Table
from keyscope.model.scope import Scope
from keyscope.plan.calls import Attempt, BadFile
from keyscope.plan.har import Base
from keyscope.plan.plan import Need, Plan
from keyscope.plan.plan import plan as plan_for
from keyscope.plan.read import Form, read_calls
from keyscope.policy.own import with_own_operations
from keyscope.policy.sources import load_any

OUTSIDE = 1
_SHOWN = 3


class Unreadable(click.UsageError):
    """A file that is not what it should be."""

    def __init__(self, name: str, error: BadFile) -> None:
        super().__init__(f"{name} cannot be planned for.")
        self._faults = error.faults

    def show(self, file: Any = None) -> None:
        click.echo(f"keyscope: {self.message}", err=True)
        for fault in self._faults:
            click.echo(f"  {fault.path}: {fault.message}", err=True)


class Address(click.ParamType[Base]):
    """An API's address."""

    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Base:
        try:
            return Base.parse(str(value))
        except ValueError as error:
            return self.fail(str(error), param, ctx)


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.File("rb"))
@option("--form", type=click.Choice([*Form]), help="What FILE is.  [default: found out]")
@option("--policy", help="A built-in policy or a file, to plan offline.  [default: that of the server]")
@option("--base-url", "base", type=Address(), help="In a HAR file: where the API is; other calls are left out.")
@option("--cautious", is_flag=True, help="Also the scopes that a call may need, by a body that the file does not tell.")
@option("--name", help="The key's name.")
@expires_in_option
@option("--mint", is_flag=True, help="Mint the key. Its secret is shown once, here.")
@option("--partial", is_flag=True, help="It does not matter that some calls are outside the policy.")
@secret_only_option
@as_json
def plan(
    files: tuple[Any, ...],
    form: str | None,
    policy: str | None,
    base: Base | None,
    cautious: bool,
    name: str | None,
    expires_in: int | None,
    mint: bool,
    partial: bool,
    secret_only: bool,
    json: bool,
) -> None:
    """The smallest key for the calls in FILE: a list of operations, an OpenAPI document, a HAR file, or a trace.

    Says which operations need each scope, what is outside the policy, and the command that mints the key. Exit code 1
    if something is outside the policy; then nothing is minted.
    """
    if secret_only and not mint:
        raise click.UsageError("Without --mint there is no secret: --secret-only goes with --mint.")
    calls = [call for file in files for call in _calls(file, Form(form) if form else None, base)]
    made = plan_for(_offline(policy) if policy is not None else _served(), calls, cautious=cautious)
    command = _command(made, name, expires_in)
    if json and not mint:
        print_json({**msgspec.to_builtins(_view(made)), "command": command})
    elif not json:
        _show(made, command, quiet=mint)
    if made.outside and not partial:
        if mint:
            note("Nothing was minted, since no key serves what is outside the policy. To mint all the same: --partial.")
        raise SystemExit(OUTSIDE)
    if mint:
        _mint(made, name, expires_in, secret_only, json)


def _calls(file: Any, form: Form | None, base: Base | None) -> list[Attempt]:
    try:
        return read_calls(file.read(), form, base)
    except BadFile as error:
        raise Unreadable(file.name, error) from None


def _offline(policy: str) -> Table:
    return with_own_operations(load_any(policy)).table()


def _served() -> Table:
    """The table of the server."""
    with connect() as client:
        rows = client.get("/keyscope/operations")["operations"]
    return Table(
        Operation(
            id=row["id"],
            method=row["method"],
            template=row["path"],
            needs=tuple(map(Scope.parse, row["needs"])),
            body=tuple(BodyCondition(JsonPath.parse(c["when"]), Scope.parse(c["needs"])) for c in row["body"]),
        )
        for row in rows
    )


def _command(made: Plan, name: str | None, expires_in: int | None) -> str:
    words = ["keyscope", "keys", "create"]
    words += ["--name", name] if name else []
    words += [word for scope in made.scopes for word in ("--scope", str(scope))]
    words += ["--expires-in", duration(expires_in)] if expires_in else []
    return shlex.join(words)


def _mint(made: Plan, name: str | None, expires_in: int | None, secret_only: bool, json: bool) -> None:
    body: dict[str, Any] = {"scopes": [scope.entry for scope in made.scopes]}
    if name:
        body["name"] = name
    if expires_in:
        body["expires_at_ms"] = time.time_ns() // 1_000_000 + expires_in
    with connect() as client:
        minted = client.post(RESTRICTED, body)
    if json:
        print_json({**msgspec.to_builtins(_view(made)), "minted": minted})
    else:
        print_secret(minted, secret_only, json)


def _view(made: Plan) -> dict[str, object]:
    return {
        "calls": made.calls,
        "scopes": list(map(str, made.scopes)),
        "needs": [{"scope": str(need.scope), "reasons": need.reasons} for need in made.needs],
        "outside": made.outside,
        "maybe": [{"scope": str(m.scope), "operation": m.operation, "when": m.when} for m in made.maybe],
    }


def _show(made: Plan, command: str, *, quiet: bool) -> None:
    """The plan for people; ``quiet`` leaves stdout to the key that is minted."""
    if not quiet:
        print_table(("SCOPE", "NEEDED BY"), [(str(need.scope), _because(need)) for need in made.needs])
    for line in _remarks(made):
        note(line)
    if not quiet:
        click.echo(f"\n{command}" if made.needs else command)


def _because(need: Need) -> str:
    named = ", ".join(f"{reason.operation} ({reason.call})" for reason in need.reasons[:_SHOWN])
    more = len(need.reasons) - _SHOWN
    return named + (f" and {more} more" if more > 0 else "")


def _remarks(made: Plan) -> Iterator[str]:
    if not made.scopes and len(made.outside) < made.calls:
        yield "No scope is needed: any live key may make these calls."
    for outside in made.outside:
        times = f" ({outside.calls} calls)" if outside.calls > 1 else ""
        yield f"Outside: {outside.call}{times}: {outside.why}"
    maybe: dict[tuple[str, Scope], list[str]] = {}
    for one in made.maybe:
        maybe.setdefault((one.operation, one.scope), []).append(one.when)
    for (operation, scope), whens in maybe.items():
        yield f"{operation} also needs {scope} if {' or '.join(whens)}."
    if maybe:
        yield "To grant these too: --cautious."
