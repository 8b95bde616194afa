"""Operations and the table that finds them.

A path is matched segment by segment against templates. Where several templates match, one that is literal wherever
another is literal, and literal in more places, wins (OpenAPI: concrete before templated). What is left is a true tie,
and the call then needs the scopes of every operation in it. The winning templates decide before the method is looked
at, so a path whose literal template lacks a method never falls back to ``{id}``.

The look-up is one dictionary step per segment: the templates are compiled into states, each standing for the set of
templates still possible, so its cost does not grow with the number of operations.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from keyscope.model.body import BodyCondition, Credential, Json, JsonPath
from keyscope.model.scope import Scope

TIE = "+"
"""Stands between the ids of operations in a true tie. No id holds it."""

PARAMETER = "{}"
"""Stands for any one segment in a compiled template."""


class Sign(Struct, frozen=True):
    """How a call shows that the instance whose id its path holds has ended.

    ``place`` is that of the id among the parts of the path that follow each slash, from 1. ``at`` is where the reply
    holds the status, which is one of ``words`` once it has ended; None: the call itself ends it, if it succeeds.
    """

    place: int
    at: JsonPath | None = None
    words: tuple[str, ...] = ()

    def instance(self, path: str) -> str:
        """The id in a path that the call's template matches."""
        return path.split("/", self.place + 1)[self.place]

    def is_given_by(self, reply: Json) -> bool:
        """Whether a successful call with this reply says that the instance has ended."""
        return self.at is None or any(value in self.words for value in self.at.select(reply) if isinstance(value, str))


class Operation(Struct, frozen=True, kw_only=True):
    """One row of a policy: method, path template, and all the scopes it requires."""

    id: str
    method: str
    template: str
    needs: tuple[Scope, ...]
    body: tuple[BodyCondition, ...] = ()
    why: str = ""
    destroys: str | None = None
    """The resource type of which this call ends an instance for good."""
    creates: tuple[str, JsonPath] | None = None
    """The resource type of which this call makes an instance, and where the reply holds the new id."""
    instances: tuple[tuple[int, str], ...] = ()
    """The segments of the template, from 0, that hold the id of a thing, and of what resource type."""
    refers: tuple[tuple[JsonPath, str], ...] = ()
    """Members of the body that name a thing and call for no further scope, and its resource type."""
    lists: tuple[str, JsonPath] | None = None
    """The resource type that the reply lists, and where it holds the ids."""
    credentials: tuple[Credential, ...] = ()
    """Members of the reply that are live credentials, each with the scope of who receives it."""
    sign: Sign | None = None
    """How it shows that an instance has ended, to which keys may be bound."""
    caps: tuple[tuple[str, int], ...] = ()
    """Query parameters that say how long what the reply hands out is good, and how many milliseconds their unit has."""
    transport: str = "json"
    deprecated: bool = False
    is_own: bool = False
    """Whether Keyscope answers it itself."""

    @property
    def segments(self) -> tuple[str, ...]:
        """The template's segments, each parameter as ``{}``."""
        parts = self.template.split("/")[1:]
        return tuple(PARAMETER if part.startswith("{") else part for part in parts)

    @property
    def call(self) -> str:
        """``GET /v1/devboxes/{id}``."""
        return f"{self.method} {self.template}"

    def __str__(self) -> str:
        return f"{self.id} ({self.call})"


class Route(Struct, frozen=True, cache_hash=True):
    """What a call is, once matched: one operation, or several in a true tie. (Its hash is kept: calls are counted.)"""

    operations: tuple[Operation, ...]
    needs: tuple[Scope, ...]
    conditions: tuple[BodyCondition, ...]

    def needs_with(self, body: Json) -> tuple[Scope, ...]:
        """All scopes that the call needs with this body."""
        extra = (condition.needs for condition in self.conditions if condition.triggers(body))
        return strongest((*self.needs, *extra))

    @property
    def needs_unseen(self) -> tuple[Scope, ...]:
        """All scopes that the call may need, for when nobody sees its body: every condition counts."""
        return strongest((*self.needs, *(condition.needs for condition in self.conditions)))

    @property
    def needs_for_all(self) -> tuple[Scope, ...]:
        """All scopes with which nothing is taken out of the reply: of the call itself, and of the credentials in it."""
        opened = (credential.needs for operation in self.operations for credential in operation.credentials)
        return strongest((*self.needs, *opened))

    @property
    def caps(self) -> tuple[tuple[str, int], ...]:
        """Query parameters that say how long what the reply hands out is good."""
        return tuple(cap for operation in self.operations for cap in operation.caps)

    @property
    def sign(self) -> Sign | None:
        """How it shows that an instance has ended; of a tie, the first that does."""
        return next((operation.sign for operation in self.operations if operation.sign is not None), None)

    @property
    def is_own(self) -> bool:
        """Whether Keyscope answers it itself."""
        return any(operation.is_own for operation in self.operations)

    @property
    def id(self) -> str:
        return TIE.join(operation.id for operation in self.operations)


LIVE = Route((), (), ())
"""What needs no more than a live key."""


class Table:
    """The operations of a policy, compiled for look-up."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self.operations = tuple(operations)
        by_template: dict[tuple[str, ...], dict[str, Operation]] = {}
        for operation in self.operations:
            methods = by_template.setdefault(operation.segments, {})
            if operation.method in methods:
                raise ValueError(f"{operation} stands twice: {methods[operation.method]} matches the same calls")
            methods[operation.method] = operation
        self._start = _compile(by_template)
        self._by_id = {operation.id: operation for operation in self.operations}

    def find(self, method: str, path: str) -> Route | None:
        """The route of a call, by method and canonical path (no query), or None."""
        methods = self._methods(path)
        return methods.get(method) if methods is not None else None

    def methods(self, path: str) -> tuple[str, ...]:
        """The methods that the path takes, sorted; empty if no template matches it."""
        return tuple(sorted(self._methods(path) or ()))

    def by_id(self, operation_id: str) -> Operation | None:
        return self._by_id.get(operation_id)

    def _methods(self, path: str) -> Mapping[str, Route] | None:
        state = self._start
        for segment in path[1:].split("/"):
            found = state.literal.get(segment, state.other)
            if found is None:
                return None
            state = found
        return state.routes

    def __iter__(self) -> Iterator[Operation]:
        return iter(self.operations)

    def __len__(self) -> int:
        return len(self.operations)


def strongest(scopes: Iterable[Scope]) -> tuple[Scope, ...]:
    """The scopes without repetition: per resource type the highest level, in order of first mention."""
    best: dict[str, Scope] = {}
    for scope in scopes:
        if scope.resource not in best or best[scope.resource].level < scope.level:
            best[scope.resource] = scope
    return tuple(best.values())


def overlap(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether some path matches both templates."""
    return len(one) == len(other) and all(a == b or PARAMETER in (a, b) for a, b in zip(one, other, strict=True))


def wins(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether ``one`` is literal wherever ``other`` is, and in more places."""
    return one != other and all(b == PARAMETER or a == b for a, b in zip(one, other, strict=True))


class _State:
    """The templates still possible after some segments."""

    __slots__ = ("literal", "other", "routes")

    def __init__(self) -> None:
        self.literal: dict[str, _State] = {}
        self.other: _State | None = None
        self.routes: dict[str, Route] = {}


_Templates = Mapping[tuple[str, ...], Mapping[str, Operation]]


def _compile(by_template: _Templates) -> _State:
    made: dict[tuple[int, frozenset[tuple[str, ...]]], _State] = {}

    def state(depth: int, alive: frozenset[tuple[str, ...]]) -> _State:
        if (depth, alive) in made:
            return made[depth, alive]
        here = made[depth, alive] = _State()
        here.routes = _routes(by_template, [template for template in alive if len(template) == depth])
        longer = [template for template in alive if len(template) > depth]
        wild = frozenset(template for template in longer if template[depth] == PARAMETER)
        for segment in {template[depth] for template in longer} - {PARAMETER}:
            here.literal[segment] = state(depth + 1, wild | {t for t in longer if t[depth] == segment})
        if wild:
            here.other = state(depth + 1, wild)
        return here

    return state(0, frozenset(by_template))


def _routes(by_template: _Templates, matching: list[tuple[str, ...]]) -> dict[str, Route]:
    best = [one for one in matching if not any(wins(other, one) for other in matching)]
    methods = {method for template in best for method in by_template[template]}
    return {
        method: _route(by_template[template][method] for template in sorted(best) if method in by_template[template])
        for method in methods
    }


def _route(operations: Iterable[Operation]) -> Route:
    tied = tuple(operations)
    return Route(
        tied,
        strongest(scope for operation in tied for scope in operation.needs),
        tuple(condition for operation in tied for condition in operation.body),
    )
