"""Which things a key may touch: named ones (``instances``), or what it or a key below it has made (``own``).

For a resource type that is limited, a call that needs it must show at least one thing of that type, in its path or
body, and all that it shows must fit; or its reply is a list, from which the gate takes what does not fit; or, for
``own``, it makes one, which the gate writes down.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec import Struct

from keyscope.model.access import Access
from keyscope.model.body import Json
from keyscope.model.facts import NOTHING_SEEN, BodySeen, Facts, Shown
from keyscope.model.objection import Objection, Reason
from keyscope.model.operation import Route
from keyscope.model.reach import Reach, reach_of
from keyscope.model.restriction.given import Given

ANY = "*"
"""Stands for any characters in a pattern, also for none."""
MOST_NAMES = 200
_TYPE = re.compile(r"[a-z][a-z0-9_]{0,62}", re.ASCII)
_ASK = "The holder of a standard key (ak_) can change what the key is limited to"
_FULL_GATE = "Send the call through Keyscope's built-in gate, which sees body and reply."


class Instances(Struct, frozen=True):
    """For each resource type that is limited its ids or patterns, both sorted."""

    names: tuple[tuple[str, tuple[str, ...]], ...]

    @classmethod
    def read(cls, given: Given) -> Instances | None:
        types = {name: member for name, member in given.all_members().items() if _is_type(member, name)}
        if not types and isinstance(given.value, dict):
            given.fault("name a resource type and its instances, or leave it out")
        names = {name: member.words(MOST_NAMES, Given.text) for name, member in types.items()}
        return cls(tuple((name, names[name] or ()) for name in sorted(names)))

    @property
    def plain(self) -> Json:
        return {name: list(names) for name, names in self.names}

    @property
    def types(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.names)

    def limits(self, resource: str) -> bool:
        return any(name == resource for name, _ in self.names)

    def fits(self, resource: str, instance: str | None) -> bool:
        """Whether a thing is one of those named. True of a type that is not limited."""
        return all(name != resource or _matches(names, instance) for name, names in self.names)

    def objection(self, access: Access, holder: str) -> Objection | None:
        if access.route is None:
            return _unlisted(holder)
        facts, reach = access.facts or NOTHING_SEEN, reach_of(access.route)
        for resource, names in self.names:
            shown = False
            for thing in facts.shown:
                if thing.resource == resource:
                    if not _matches(names, thing.id):
                        return _other(resource, holder)
                    shown = True
            if resource in reach.creates:
                return _other(resource, holder)
            unseen = _unseen(resource, shown, access, facts, reach)
            if unseen is not None:
                return _unseen_objection(unseen, resource, holder, Reason.OTHER_INSTANCE)
        return None


class Own(Struct, frozen=True):
    """Only what the holder of this, or a key below it, has made. ``only`` None: of every resource type."""

    only: tuple[str, ...] | None = None

    @classmethod
    def read(cls, given: Given) -> Own | None:
        if given.value is True:
            return cls()
        if isinstance(given.value, bool):
            given.fault("send true or a list of resource types, or leave it out")
            return None
        types = given.words(MOST_NAMES, _type)
        return cls(types) if types else None

    @property
    def plain(self) -> Json:
        return True if self.only is None else list(self.only)

    def limits(self, resource: str) -> bool:
        return self.only is None or resource in self.only

    def objection(self, access: Access, holder: str) -> Objection | None:
        if access.route is None:
            return _unlisted(holder)
        facts, reach = access.facts or NOTHING_SEEN, reach_of(access.route)
        shown: set[str] = set()
        for thing in facts.shown:
            if not self.limits(thing.resource):
                continue
            if not _is_own(thing, facts, holder):
                return _not_own(thing, holder)
            shown.add(thing.resource)
        return self._of_types(access, facts, reach, shown, holder)

    def _of_types(self, access: Access, facts: Facts, reach: Reach, shown: set[str], holder: str) -> Objection | None:
        needed = {scope.resource for scope in access.needs}
        for resource in filter(self.limits, sorted(needed | reach.referred | reach.creates)):
            makes = resource in reach.creates
            if makes and not facts.sees_reply:
                return _unseen_objection(_REPLY, resource, holder, Reason.NOT_OWN)
            unseen = _unseen(resource, makes or resource in shown, access, facts, reach)
            if unseen is not None:
                return _unseen_objection(unseen, resource, holder, Reason.NOT_OWN)
        return None


_NONE_SHOWN, _BODY, _REPLY = "nothing", "body", "reply"


def _unseen(resource: str, shown: bool, access: Access, facts: Facts, reach: Reach) -> str | None:
    """What is missing to know that only fitting things of a limited type are touched; None if nothing is."""
    if shown and resource not in reach.referred:
        return None
    if resource in reach.referred:
        if facts.body is BodySeen.LATER:
            return None
        if facts.body is BodySeen.NOT:
            return _BODY
    if reach.lists is not None and reach.lists[0] == resource:
        return None if facts.sees_reply else _REPLY
    return _NONE_SHOWN if not shown and any(scope.resource == resource for scope in access.needs) else None


def looks_at_body(route: Route | None, limits: Iterable[Instances | Own]) -> bool:
    """Whether the body of such a call may show things of a type that one of these limits."""
    referred = reach_of(route).referred
    return bool(referred) and any(limit.limits(resource) for limit in limits for resource in referred)


def _matches(names: tuple[str, ...], instance: str | None) -> bool:
    return instance is not None and (instance in names or any(ANY in name and fits(name, instance) for name in names))


def fits(pattern: str, text: str) -> bool:
    """Whether a text fits a pattern, in time that grows with its length alone, whatever the pattern."""
    first, *middle = pattern.split(ANY)
    if not middle:
        return pattern == text
    last = middle.pop()
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


def _is_own(thing: Shown, facts: Facts, holder: str) -> bool:
    return thing.id is not None and holder in facts.owners.get((thing.resource, thing.id), ())


def _is_type(member: Given, name: str) -> bool:
    if _TYPE.fullmatch(name):
        return True
    member.fault("this is no resource type: use a-z, 0-9 and _, a letter first")
    return False


def _type(given: Given) -> str | None:
    text = given.text()
    return text if text is not None and _is_type(given, text) else None


def _other(resource: str, holder: str) -> Objection:
    message = f"The key is limited to certain {resource}, and this is about others, or makes new ones."
    return Objection(Reason.OTHER_INSTANCE, message, f"Use one of those. {_ASK}.", holder)


def _not_own(thing: Shown, holder: str) -> Objection:
    message = f"The key is limited to {thing.resource} that it made itself."
    return Objection(Reason.NOT_OWN, message, f"Make one with this key. {_ASK}.", holder, hides=thing.in_path)


def _unlisted(holder: str) -> Objection:
    message = "The key is limited to certain things, and the policy does not say which ones this call is about."
    return Objection(Reason.NOT_SEEN, message, "Have the operation added to the policy.", holder)


def _unseen_objection(what: str, resource: str, holder: str, reason: Reason) -> Objection:
    if what == _NONE_SHOWN:
        message = f"The key is limited to certain {resource}, and this call does not name the ones that it is about."
        return Objection(reason, message, f"{_ASK}.", holder)
    message = f"The key is limited to certain {resource}, and the {what} that would show them is not seen here."
    return Objection(Reason.NOT_SEEN, message, _FULL_GATE, holder)
