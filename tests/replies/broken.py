"""``python broken.py BUILD serve …``: the keyscope command with a defence of replies taken out, or a crash put in."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import keyscope.gate.answering
import keyscope.gate.proxy
import keyscope.gate.replies.cuts
import keyscope.gate.replies.own
import keyscope.store.things
from keyscope.cli.main import main
from keyscope.gate.replies.own import Plan
from keyscope.store.postgres.things import PostgresThings
from keyscope.store.things import SqliteThings

answering: Any = keyscope.gate.answering
proxy: Any = keyscope.gate.proxy
cuts: Any = keyscope.gate.replies.cuts
own: Any = keyscope.gate.replies.own
things: Any = keyscope.store.things
LEDGERS: Any = (SqliteThings, PostgresThings)
BUILD = "BROKEN_BUILD"
"""Processes that a server starts of itself begin anew, and find here what they are to be."""


def dies_before_the_record() -> None:
    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    for ledger in LEDGERS:
        ledger.add = die


def dies_after_the_record() -> None:
    def dying(real: Callable[..., object]) -> Callable[..., None]:
        def die(*given: Any) -> None:
            real(*given)
            os.kill(os.getpid(), signal.SIGKILL)

        return die

    for ledger in LEDGERS:
        ledger.add = dying(ledger.add)


def shows_credentials_to_all() -> None:
    real = own.plan_of
    proxy.plan_of = lambda allow: Plan((), real(allow).makes, real(allow).lists)


def looks_for_plain_names_only() -> None:
    cuts.Cuts.may_touch = lambda self, text: any(mark in text for mark in self._marks)


def lists_everything() -> None:
    async def may_see(self: object, lineage: object, resource: str, ids: list[str]) -> list[bool]:
        return [True] * len(ids)

    own.OwnThings.may_see = may_see


def records_nothing() -> None:
    async def record(*_: object) -> None:
        """Forget it."""

    own.OwnThings.record = record


def gives_a_thing_to_its_latest_maker() -> None:
    things._ADD = things._ADD.replace("IGNORE", "REPLACE")


def begins_lists_anywhere() -> None:
    async def check_cursor(*_: object) -> None:
        """Any will do."""

    answering.Answering.check_cursor = check_cursor


BUILDS: Mapping[str, Callable[[], None]] = {
    build.__name__: build
    for build in (
        dies_before_the_record,
        dies_after_the_record,
        shows_credentials_to_all,
        looks_for_plain_names_only,
        lists_everything,
        records_nothing,
        gives_a_thing_to_its_latest_maker,
        begins_lists_anywhere,
    )
}

if __name__ == "__main__":
    os.environ[BUILD] = sys.argv.pop(1)
if BUILD in os.environ:
    BUILDS[os.environ[BUILD]]()
if __name__ == "__main__":
    main()
