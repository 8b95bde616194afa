"""The gates that the attack rows are sent to: one entry each. To add one, say how it starts before an upstream.

A gate is whatever faces the caller. Each is started as its guide says: the exported ones with the very text that
``keyscope export`` prints.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.attacks.runner import Upstream
from tests.gate.proxies import UPSTREAM_KEY, running
from tests.haproxy.inside import Inside, until
from tests.haproxy.team import UPSTREAM_KEY as TEAMS_KEY
from tests.haproxy.team import judges_alone, running_team
from tests.inprocess.serving import Served
from tests.live import Live, free_port
from tests.recorder import Recorder

Edit = Callable[[str], str]
"""What to do to a configuration before the gate starts with it."""


@dataclass(frozen=True)
class Front:
    """A gate that runs: where it listens, the Keyscope that decides, and what notes whatever arrives behind it.

    ``settle`` waits until it judges as it does when no key has changed for a while.
    """

    port: int
    live: Live
    upstream: Upstream
    settle: Callable[[], object] = lambda: None


@dataclass(frozen=True)
class Place:
    """What a gate is started with. ``program`` is the Keyscope to start, if not the sound one."""

    upstream: Recorder
    new_directory: Callable[[], Path]
    edit: Edit = lambda text: text
    program: tuple[str, ...] = ("-m", "keyscope")


@dataclass(frozen=True)
class Gate:
    """``credential`` is the Authorization that must arrive behind it, ``None`` for none at all."""

    name: str
    start: Callable[[Place], AbstractContextManager[Front]]
    programs: tuple[str, ...] = ()
    credential: str | None = f"Bearer {UPSTREAM_KEY}"


def served(*options: str) -> Callable[[Place], AbstractContextManager[Front]]:
    """A gate that ``keyscope serve`` itself is, or starts."""

    @contextmanager
    def start(place: Place) -> Iterator[Front]:
        environment = {"KEYSCOPE_UPSTREAM_KEY": UPSTREAM_KEY}
        with Live(
            place.new_directory(),
            upstream=place.upstream.url,
            options=options,
            environment=environment,
            program=place.program,
        ) as live:
            yield Front(live.port, live, place.upstream)

    return start


def exported(proxy: str) -> Callable[[Place], AbstractContextManager[Front]]:
    """A proxy that asks Keyscope, with what ``keyscope export`` prints for it."""

    @contextmanager
    def start(place: Place) -> Iterator[Front]:
        with (
            Live(place.new_directory(), program=place.program) as live,
            running(proxy, place.upstream.url, live.port, place.new_directory(), place.edit) as url,
        ):
            yield Front(int(url.rpartition(":")[2]), live, place.upstream)

    return start


@contextmanager
def engine(place: Place) -> Iterator[Front]:
    """HAProxy, once it judges by itself."""
    with served("--engine", "haproxy", "--engine-threads", "1")(place) as front:
        until(Inside(front.live).is_judging)
        yield front


@contextmanager
def fed(place: Place) -> Iterator[Front]:
    """HAProxy as a team runs it, with what ``keyscope export`` prints and fed by ``keyscope feed``."""
    environment = {"KEYSCOPE_UPSTREAM_KEY": TEAMS_KEY}
    with (
        Live(
            place.new_directory(), upstream=place.upstream.url, environment=environment, program=place.program
        ) as live,
        running_team(live, place.upstream, place.new_directory(), place.edit) as team,
    ):
        yield Front(team.port, live, place.upstream, lambda: until(lambda: judges_alone(team, live, place.upstream)))


@contextmanager
def envoy_grpc(place: Place) -> Iterator[Front]:
    """Envoy that asks over gRPC."""
    port = free_port()
    asked = ["--envoy-grpc", f"127.0.0.1:{port}"]
    with (
        Live(place.new_directory(), options=asked, program=place.program) as live,
        running("envoy-grpc", place.upstream.url, port, place.new_directory(), place.edit) as url,
    ):
        yield Front(int(url.rpartition(":")[2]), live, place.upstream)


@contextmanager
def middleware(place: Place) -> Iterator[Front]:
    """An application that passes on what reaches it, behind the middleware."""
    with Live(place.new_directory(), program=place.program) as live:
        environment = {"RELAY_PORT": str(place.upstream.port), "RELAY_DATABASE": f"sqlite:///{live.database}"}
        with Served("granian", place.new_directory(), "tests.attacks.behind:app", environment) as served:
            yield Front(served.port, live, place.upstream)


GATES = (
    Gate("built-in", served()),
    Gate("haproxy", engine, ("haproxy",)),
    Gate("haproxy-fed", fed, ("haproxy",), f"Bearer {TEAMS_KEY}"),
    Gate("middleware", middleware, (), None),
    Gate("nginx", exported("nginx"), ("nginx",)),
    Gate("caddy", exported("caddy"), ("caddy",)),
    Gate("traefik", exported("traefik"), ("traefik",)),
    Gate("envoy", exported("envoy"), ("envoy",)),
    Gate("envoy-grpc", envoy_grpc, ("envoy",)),
)
GATE = {gate.name: gate for gate in GATES}
