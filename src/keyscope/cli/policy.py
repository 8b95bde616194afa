"""``keyscope policy``: print, check and compare policies."""

from __future__ import annotations

import click
import msgspec

from keyscope.cli.options import as_json, option
from keyscope.cli.output import print_json, print_table
from keyscope.model.operation import Operation
from keyscope.policy import openapi as documents
from keyscope.policy.check import check as check_policy
from keyscope.policy.diff import diff as compare
from keyscope.policy.sources import load_any

FAILED = 1


@click.group()
def policy() -> None:
    """Print, check and compare policies. POLICY is a built-in name, a file, or an annotated OpenAPI document."""


@policy.command()
@click.argument("name", metavar="POLICY")
@as_json
def show(name: str, json: bool) -> None:
    """Print every operation and the scopes that it needs."""
    loaded = load_any(name)
    if json:
        print_json([_row_json(operation) for operation in loaded.operations])
        return
    rows = [(row.id, row.call, " ".join(map(str, row.needs)), _when(row)) for row in loaded.operations]
    print_table(("OPERATION", "CALL", "NEEDS", "AND IF THE BODY HAS"), rows)


@policy.command()
@click.argument("name", metavar="POLICY")
@option("--openapi", metavar="FILE", help="The API's OpenAPI document, to find unmapped, dead and contradictory rows.")
@as_json
def check(name: str, openapi: str | None, json: bool) -> None:
    """Look for faults, and say how each overlap is settled. Exit code 1 if there is an error."""
    report = check_policy(load_any(name), documents.read(openapi) if openapi is not None else None)
    if json:
        print_json(msgspec.to_builtins({"ok": report.ok, "report": report}))
    else:
        click.echo(str(report))
    if not report.ok:
        raise SystemExit(FAILED)


@policy.command()
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="NEW")
@as_json
def diff(old: str, new: str, json: bool) -> None:
    """What changes from OLD to NEW, and whether each change widens or narrows what a restricted key may do."""
    found = compare(load_any(old), load_any(new))
    if json:
        print_json(msgspec.to_builtins(found))
    else:
        click.echo(str(found))


def _when(row: Operation) -> str:
    return ", ".join(f"{condition.when} → {condition.needs}" for condition in row.body)


def _row_json(row: Operation) -> dict[str, object]:
    return {
        "id": row.id,
        "method": row.method,
        "path": row.template,
        "needs": [str(scope) for scope in row.needs],
        "body": [{"when": str(item.when), "needs": str(item.needs), "why": item.why} for item in row.body],
        "why": row.why,
    }
