"""``keyscope db``: the database itself, for whoever runs the server."""

from __future__ import annotations

import click


@click.group()
def db() -> None:
    """Look after the database: back it up, restore it."""
