"""``keyscope db``: the database itself, for whoever runs the server."""

from __future__ import annotations

import click

from keyscope.model.token import SECRET_BYTES, Kind, format_token
from keyscope.system import SystemEntropy


@click.group()
def db() -> None:
    """Look after the database: its first key, backup, restore, check, copy."""


@db.command("first-key")
def first_key() -> None:
    """Print the text of a new standard key, to be the first one of an empty database (KEYSCOPE_BOOTSTRAP_KEY).

    Nothing is kept of it. Given so, the first key is in no log.
    """
    click.echo(format_token(Kind.STANDARD, SystemEntropy().random_bytes(SECRET_BYTES)).reveal())
