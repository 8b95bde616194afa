"""Printing: tables and sentences for people on a terminal, JSON for programs. Results on stdout, the rest on stderr."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from keyscope.errors import KeyscopeError


def print_json(value: object) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table as wide as the terminal, or as its content where there is none."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    _console().print(table)


def print_pairs(pairs: Iterable[tuple[str, str]]) -> None:
    """Names and values, one a line."""
    print_table(("", ""), pairs)


def print_tree(tree: Tree) -> None:
    _console().print(tree)


def note(sentence: str) -> None:
    """A sentence beside the result."""
    click.echo(sentence, err=True)


def print_error(error: KeyscopeError) -> None:
    """An error with every fault, each on a line of its own."""
    click.echo(f"keyscope: {error.message}", err=True)
    for fault in error.faults:
        click.echo(f"  {fault.path}: {fault.message}", err=True)


def moment(ms: int | None) -> str:
    """Unix milliseconds as a date and time in UTC; a dash for none."""
    if ms is None:
        return "-"
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def duration(ms: int | None) -> str:
    """Milliseconds in the largest unit that divides them, like ``30d``; a dash for none."""
    if ms is None:
        return "-"
    units = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))
    return next(f"{ms // size}{unit}" for unit, size in units if ms % size == 0)


def scopes_text(entries: list[dict[str, Any]]) -> str:
    """Runloop's scope entries in the short form."""
    return " ".join(
        f"{entry['resource_type'].removeprefix('RESOURCE_TYPE_').lower()}:"
        f"{entry['access_level'].removeprefix('ACCESS_LEVEL_').lower()}"
        for entry in entries
    )


def _console() -> Console:
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=400)
    return console
