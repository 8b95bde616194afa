"""Whether restrictions are as tight as others, kind by kind: what a key may be given, and what it may be changed to.

A line of keys holds all restrictions in it, so nothing here keeps a key from doing more. It keeps a key from looking as
if it could.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from keyscope.errors import Fault
from keyscope.model.restriction.calls import Denied
from keyscope.model.restriction.counts import Rate
from keyscope.model.restriction.peers import Cidrs
from keyscope.model.restriction.things import Instances, Own, fits
from keyscope.model.restriction.times import Window
from keyscope.model.restrictions import NONE, Restrictions


def loosened(new: Restrictions | None, old: Restrictions | None, holder: str) -> Iterator[Fault]:
    """What ``old`` has and ``new`` lacks, or has less tight: a fault for each kind."""
    asked, had = new or NONE, old or NONE
    for name, is_tighter in _TIGHTER.items():
        mine, theirs = getattr(asked, name), getattr(had, name)
        if theirs is not None and (mine is None or not is_tighter(mine, theirs)):
            message = (
                f"{holder} is restricted so, and only a standard key loosens that: leave it as it is, or tighten it"
            )
            yield Fault(f"$.restrictions.{name}", message)


def beyond(new: Restrictions | None, above: Restrictions, holder: str) -> Iterator[Fault]:
    """What ``new`` says that a key would have, and would not, because ``above`` holds for it too."""
    for name in _SAID:
        mine, theirs = getattr(new or NONE, name), getattr(above, name)
        is_within = _instances_said if name == "instances" else _TIGHTER[name]
        if mine is not None and theirs is not None and not is_within(mine, theirs):
            message = f"{holder} is restricted to less, which holds for the keys below it: ask for no more than that"
            yield Fault(f"$.restrictions.{name}", message)


def _instances(mine: Instances, theirs: Instances) -> bool:
    asked = dict(mine.names)
    return all(_named(asked.get(resource, ("*",)), names) for resource, names in theirs.names)


def _named(mine: tuple[str, ...], theirs: tuple[str, ...]) -> bool:
    """Whether all that these name is named there. A pattern is within another that matches its text, stars and all."""
    return all(any(fits(known, name) for known in theirs) for name in mine)


def _instances_said(mine: Instances, theirs: Instances) -> bool:
    known = dict(theirs.names)
    return all(_named(names, known[resource]) for resource, names in mine.names if resource in known)


def _own(mine: Own, theirs: Own) -> bool:
    if theirs.only is None:
        return mine.only is None
    return mine.only is None or set(theirs.only) <= set(mine.only)


def _cidrs(mine: Cidrs, theirs: Cidrs) -> bool:
    known = [ip_network(text) for text in theirs.texts]
    return all(any(_is_within(ip_network(text), network) for network in known) for text in mine.texts)


def _is_within(mine: IPv4Network | IPv6Network, theirs: IPv4Network | IPv6Network) -> bool:
    if isinstance(mine, IPv4Network) and isinstance(theirs, IPv4Network):
        return mine.subnet_of(theirs)
    return isinstance(mine, IPv6Network) and isinstance(theirs, IPv6Network) and mine.subnet_of(theirs)


def _window(mine: Window, theirs: Window) -> bool:
    """Of windows over midnight only equal ones are compared; of all, only those of one place."""
    days = theirs.days is None or (mine.days is not None and set(mine.days) <= set(theirs.days))
    if mine.timezone != theirs.timezone or not days:
        return False
    same_day = mine.start < mine.end and theirs.start < theirs.end
    inside = theirs.start <= mine.start and mine.end <= theirs.end
    return (mine.start, mine.end) == (theirs.start, theirs.end) or (same_day and inside)


def _rate(mine: Rate, theirs: Rate) -> bool:
    """No more calls, in a stretch that is no shorter."""
    return mine.requests <= theirs.requests and mine.per_ms >= theirs.per_ms


def _deny(mine: Denied, theirs: Denied) -> bool:
    return set(theirs.names) <= set(mine.names)


def _fewer(mine: int, theirs: int) -> bool:
    return mine <= theirs


_TIGHTER: dict[str, Callable[[Any, Any], bool]] = {
    "instances": _instances,
    "own": _own,
    "cidrs": _cidrs,
    "not_before_ms": lambda mine, theirs: mine >= theirs,
    "window": _window,
    "uses": _fewer,
    "rate": _rate,
    "parallel": _fewer,
    "deny": _deny,
    "hold": lambda mine, theirs: mine == theirs,
}

_SAID = ("instances", "cidrs", "not_before_ms", "uses", "rate", "parallel")
"""What a key says that it can do. The other kinds only say what it cannot."""
