"""``keyscope webhooks``: who is told of what happens to the account's keys."""

from __future__ import annotations

import click

from keyscope.cli.client import connect
from keyscope.cli.options import as_json, option
from keyscope.cli.output import moment, print_json, print_pairs, print_table

PATH = "/keyscope/webhooks"


@click.group()
def webhooks() -> None:
    """Tell addresses of yours what happens to keys. Takes a standard key."""


@webhooks.command()
@click.argument("url")
@option("--kind", "kinds", multiple=True, help="Only this kind, like key.revoked. May be given several times.")
@as_json
def add(url: str, kinds: tuple[str, ...], json: bool) -> None:
    """Tell URL from now on. Prints the secret that its messages are signed with, only now."""
    with connect() as client:
        added = client.post(PATH, {"url": url, **({"kinds": list(kinds)} if kinds else {})})
    if json:
        print_json(added)
        return
    names = (("id", "id"), ("url", "url"), ("secret", "secret"))
    print_pairs([*((name, added[member]) for name, member in names), ("kinds", " ".join(added["kinds"]))])


@webhooks.command("list")
@as_json
def list_(json: bool) -> None:
    """List who is told of what."""
    with connect() as client:
        found = client.get(PATH)["webhooks"]
    if json:
        print_json(found)
    else:
        print_table(("ID", "URL", "KINDS"), [(one["id"], one["url"], " ".join(one["kinds"])) for one in found])


@webhooks.command()
@click.argument("webhook_id")
@as_json
def remove(webhook_id: str, json: bool) -> None:
    """Tell it nothing more, what waits for it included."""
    _done(f"{PATH}/{webhook_id}/remove", "It is told nothing more.", json)


@webhooks.command()
@as_json
def dead(json: bool) -> None:
    """List the messages that were given up, newest first."""
    with connect() as client:
        found = client.get(f"{PATH}/dead")["dead"]
    if json:
        print_json(found)
        return
    columns = ("MESSAGE", "WEBHOOK", "KIND", "GIVEN UP", "TRIES", "OUTCOME")
    members = ("message_id", "webhook_id", "kind", "dead_at_ms", "tries", "outcome")
    rows = [[one[member] for member in members] for one in found]
    print_table(columns, [(*row[:3], moment(row[3]), str(row[4]), row[5]) for row in rows])


@webhooks.command()
@click.argument("webhook_id")
@as_json
def retry(webhook_id: str, json: bool) -> None:
    """Try again what was given up of one webhook."""
    _done(f"{PATH}/{webhook_id}/retry", "What was given up is tried again.", json)


def _done(path: str, sentence: str, json: bool) -> None:
    with connect() as client:
        reply = client.post(path, {})
    print_json(reply) if json else click.echo(sentence)
