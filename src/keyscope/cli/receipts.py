"""Which nodes have what was taken away: at a terminal followed node by node, and in any case said at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from keyscope.cli.output import moment, note

Receipt = dict[str, Any]
Ask = Callable[[str | None], tuple[Receipt, str] | None]
"""The receipt as it is now, and its tag. Given a tag it waits for another one, and returns None if none comes."""


def follow(receipt: Receipt, ask: Ask) -> Receipt:
    """Print each node as it acknowledges or closes, until none is pending. Returns the last receipt.

    An interruption, or a server that answers no more, ends the following and not the change.
    """
    if not receipt["pending"]:
        return receipt
    told: set[str] = set()
    known: str | None = None
    try:
        _tell(_given(receipt), told)
        receipt, known = ask(known) or (receipt, known)  # by now most have it who were pending in the first moment
        while receipt["pending"]:
            _tell([*_given(receipt), *_pending(receipt)], told)
            receipt, known = ask(known) or (receipt, known)
        _tell(_given(receipt), told)
    except KeyboardInterrupt:
        note("The change is made. It is not followed any further.")
    except click.ClickException as error:
        note(f"The change is made. It cannot be followed any further: {error.format_message()}")
    return receipt


def _tell(sentences: list[str], told: set[str]) -> None:
    for sentence in sentences:
        if sentence not in told:
            told.add(sentence)
            note(sentence)


def _given(receipt: Receipt) -> list[str]:
    has = [f"{node} has it." for node in receipt["acknowledged"]]
    return has + [f"{node} was not heard, and judges nothing until it has it." for node in receipt["closed"]]


def _pending(receipt: Receipt) -> list[str]:
    return [
        f"{node['node']} has not said so. It judges nothing without it after {moment(node['closes_by_ms'])}."
        for node in receipt["pending"]
    ]


def note_receipt(reply: dict[str, Any]) -> None:
    """What a reply says of the nodes, where the server is one of several."""
    receipt = reply.get("receipt")
    if receipt is None:
        return
    note(f"Nodes that have it: {', '.join(receipt['acknowledged']) or 'none'}.")
    if receipt["closed"]:
        note(f"Not heard, and judging nothing until they have it: {', '.join(receipt['closed'])}.")
    for sentence in _pending(receipt):
        note(sentence)
