"""``keyscope db end-held``: calls that wait and can never be sent, because the key is lost that opens them."""

from __future__ import annotations

from contextlib import closing

import click

from keyscope.authority.ports import Store
from keyscope.authority.settling import end_unsettled
from keyscope.cli.output import note
from keyscope.cli.trail import database_option
from keyscope.store.open import open_store
from keyscope.system import SystemClock


@click.command("end-held")
@database_option
def end_held(database: str) -> None:
    """End all held calls that wait, unsent: when no server has the key any more that they are encrypted with.

    Their state becomes unknown. While servers run or not.
    """
    with closing(open_store(database)) as store:
        ended = end_waiting(store, "nobody can open it any more")
    note(f"{ended} held calls were ended, and are not sent.")


def end_waiting(store: Store, why: str) -> int:
    """Returns how many."""
    return store.write(lambda writer: end_unsettled(writer, why, SystemClock().now_ms()))
