"""``keyscope doctor``: what is wrong with this installation, and how to mend it."""

from __future__ import annotations

import os
import platform
import sqlite3
from collections.abc import Callable, Iterator

import click
import httpx

from keyscope import __version__
from keyscope.cli.client import DEFAULT_URL, connect
from keyscope.cli.output import print_error
from keyscope.errors import ConfigurationError
from keyscope.serving.server import load_policy
from keyscope.serving.startable import check_extras
from keyscope.settings import Settings, parse_settings

_TIMEOUT_S = 5.0
_LEAST_SQLITE = (3, 37, 0)

Check = tuple[str, Callable[[], str]]


class Sick(Exception):
    """A check failed; the sentence says what and how to mend it."""


@click.command()
def doctor() -> None:
    """Check the settings, the policy, the server, the key and the upstream. Exit code 1 if something is wrong."""
    try:
        settings = parse_settings({}, os.environ)
    except ConfigurationError as error:
        print_error(error)
        raise SystemExit(1) from None
    results = [_try(name, check) for name, check in _checks(settings)]
    if not all(results):
        raise SystemExit(1)


def _checks(settings: Settings) -> Iterator[Check]:
    yield "program", _program
    yield "policy", lambda: f"{settings.policy}: {len(load_policy(settings.policy).operations)} operations, sound"
    yield "server", _server
    yield "key", _key
    if settings.upstream is not None:
        yield "upstream", lambda: _upstream(settings.upstream or "")
    if settings.envoy_grpc is not None:
        yield "envoy", lambda: _envoy(settings)


def _try(name: str, check: Callable[[], str]) -> bool:
    try:
        click.echo(f"ok    {name}: {check()}")
    except ConfigurationError as error:
        click.echo(f"wrong {name}: " + "; ".join(f"{fault.path}: {fault.message}" for fault in error.faults))
        return False
    except (Sick, click.ClickException) as error:
        click.echo(f"wrong {name}: {error}")
        return False
    return True


def _program() -> str:
    if sqlite3.sqlite_version_info < _LEAST_SQLITE:
        raise Sick(f"SQLite {sqlite3.sqlite_version} is too old; use a Python with SQLite 3.37 or newer")
    return f"Keyscope {__version__}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"


def _server() -> str:
    url = os.environ.get("KEYSCOPE_URL") or DEFAULT_URL
    try:
        response = httpx.get(f"{url}/keyscope/readyz", timeout=_TIMEOUT_S, trust_env=False)
    except httpx.HTTPError as error:
        raise Sick(f"no answer from {url} ({type(error).__name__}); start it: keyscope serve") from None
    if response.status_code != httpx.codes.OK:
        raise Sick(f"{url} is not ready: it answered {response.status_code}; its log says why")
    return f"{url} is ready"


def _key() -> str:
    if not os.environ.get("KEYSCOPE_API_KEY"):
        raise Sick("KEYSCOPE_API_KEY is not set; set it to a key of your account")
    with connect() as client:
        view = client.get("/keyscope/me")
    return f"{view['id']} ({view['kind']}, {view['name']}) is live"


def _envoy(settings: Settings) -> str:
    check_extras(settings)
    return f"what {settings.envoy_grpc} needs is installed"


def _upstream(origin: str) -> str:
    try:
        response = httpx.get(origin, timeout=_TIMEOUT_S, trust_env=False)
    except httpx.HTTPError as error:
        raise Sick(f"no answer from {origin} ({type(error).__name__}); check --upstream and the network") from None
    return f"{origin} answers ({response.status_code})"
