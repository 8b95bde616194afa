"""What can happen to a node and to PostgreSQL, and what comes of it: how soon it closes, how soon it is back."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import NamedTuple

from tests.haproxy.inside import Inside
from tests.nodes.team import Member, Team, wait
from tests.nodes.traffic import Key, minted, traffic


class Fault(NamedTuple):
    """``breaks`` befalls a node; ``mends`` undoes it. ``closes``: whether the node must close meanwhile."""

    name: str
    breaks: Callable[[Member], None]
    mends: Callable[[Member], None]
    closes: bool = True


def _hold(member: Member) -> None:
    member.relay.holds = True


def _let_go(member: Member) -> None:
    member.relay.holds = False


def _cut(member: Member) -> None:
    member.relay.refuses = True
    member.relay.cut()


def _admit(member: Member) -> None:
    member.relay.refuses = False


def _pause(member: Member) -> None:
    member.pause()


def _pause_follower(member: Member) -> None:
    member.follower().suspend()


def _resume(member: Member) -> None:
    member.go_on()


def _kill_follower(member: Member) -> None:
    member.follower().kill()


def _kill(member: Member) -> None:
    member.kill_all()


def _start(member: Member) -> None:
    member.start()


def _lose_notices(member: Member) -> None:
    member.relay.loses_notices = True


def _hear_notices(member: Member) -> None:
    member.relay.loses_notices = False


def _delay(member: Member) -> None:
    member.relay.delay_s = 0.3


def _hurry(member: Member) -> None:
    member.relay.delay_s = 0.0


def _kill_engine(member: Member) -> None:
    os.kill(Inside(member).engine, signal.SIGKILL)


def _kill_haproxy(member: Member) -> None:
    os.kill(Inside(member).haproxy, signal.SIGKILL)


def _pause_engine(member: Member) -> None:
    os.kill(Inside(member).engine, signal.SIGSTOP)


def _nothing(_: Member) -> None:
    """It mends itself."""


FAULTS = (
    Fault("the network to PostgreSQL swallows everything", _hold, _let_go),
    Fault("the network to PostgreSQL is cut, and refuses", _cut, _admit),
    Fault("the whole node is paused (SIGSTOP)", _pause, _resume),
    Fault("only its follower is paused", _pause_follower, _resume),
    Fault("its follower is killed", _kill_follower, _nothing, closes=False),
    Fault("the whole node is killed", _kill, _start),
    Fault("notifications are lost", _lose_notices, _hear_notices, closes=False),
    Fault("everything to and from PostgreSQL takes 300 ms", _delay, _hurry, closes=False),
)

OF_ENGINE = (
    Fault("the process that feeds HAProxy is killed, and HAProxy with it", _kill_engine, _nothing, closes=False),
    Fault("HAProxy is killed", _kill_haproxy, _nothing, closes=False),
    Fault("the process that feeds HAProxy is paused", _pause_engine, _resume, closes=False),
)
"""Of a node where HAProxy judges; and of the others these are tried there, too."""
ALSO_WITH_ENGINE = tuple(
    fault for fault in FAULTS if fault.breaks in (_hold, _pause, _pause_follower, _kill_follower, _kill)
)


class Outcome(NamedTuple):
    """Seconds: until a revocation elsewhere had its receipt, from the fault until the node accepted nothing that was
    revoked, and from the mending until it judged again. ``wrongly`` counts what was accepted after a receipt.
    """

    receipt_s: float
    closed_s: float | None
    recovered_s: float
    wrongly: int
    asked: int


def befall(team: Team, fault: Fault, lasts_s: float) -> Outcome:
    """Let it happen to the last node under traffic, revoke a key elsewhere at once and others while it lasts."""
    member, keys = team.members[-1], minted(team[0], 12)
    wait(lambda: member.may(keys[-1].secret) == 200, "the keys are known")
    with traffic(team, keys) as running:
        fault.breaks(member)
        began_s = time.perf_counter()
        receipt_s = _revoke(team, keys[0], running.took)
        for key in keys[1:3]:
            _revoke(team, key, running.took)
        time.sleep(max(0.0, began_s + lasts_s - time.perf_counter()))
        _revoke(team, keys[6], running.took)
        mended_s = time.perf_counter()
        fault.mends(member)
        _revoke(team, keys[7], running.took)
        member.wait_ready()
        recovered_s = time.perf_counter() - mended_s
        time.sleep(0.2)
    accepted = [
        question.sent_s
        for question in running.asked
        if question.node == member.name and question.status == 200 and began_s < question.sent_s < mended_s
    ]
    closed_s = (max(accepted, default=began_s) - began_s) if fault.closes else None
    return Outcome(receipt_s, closed_s, recovered_s, len(running.wrongly_accepted()), len(running.asked))


def _revoke(team: Team, key: Key, took: Callable[[Key], None]) -> float:
    began_s = time.perf_counter()
    receipt = team.revoke(key.id)
    if not receipt["pending"]:
        took(key)
    return time.perf_counter() - began_s
