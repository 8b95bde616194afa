"""``keyscope gate``: gates of their own, beside the server that keeps the keys."""

from __future__ import annotations

import os
from collections.abc import Mapping

import click

from keyscope.authority.ports import Writer
from keyscope.errors import ConfigurationError, Fault
from keyscope.logs import start_early, start_logging
from keyscope.policy.check import require_sound
from keyscope.policy.document import Policy, load
from keyscope.policy.tools import METHOD
from keyscope.serving.mcp_application import McpApplication
from keyscope.serving.server import run_alone
from keyscope.serving.startable import check_addresses
from keyscope.settings import BUILT_IN, SETTINGS, Setting, Settings, parse_settings
from keyscope.store.open import open_store

MCP_PORT = "8702"
_MCP_SETTINGS = (
    "host",
    "port",
    "database",
    "replica",
    "policy",
    "upstream",
    "max_header_bytes",
    "max_body_bytes",
    "header_timeout_s",
    "body_timeout_s",
    "upstream_connect_timeout_s",
    "upstream_timeout_s",
    "counters",
    "counters_away",
    "log_level",
    "log_format",
    "drain_s",
    "stop_s",
)
_OF_THE_SERVER = {"workers": "1", "engine": BUILT_IN, "envoy_grpc": ""}
"""Settings that a server beside the gate may have in its environment, and that mean nothing here."""
_ABOUT = {
    "port": "Port to listen on.",
    "database": "Where keyscope serve on this machine keeps the keys: the same URL.",
    "replica": "With PostgreSQL: the replica of that server; the gate judges by it.",
    "policy": "The policy: a file with an mcp section.",
    "upstream": "The endpoint of the MCP server, like http://127.0.0.1:9000/mcp. The gate answers at the same path.",
    "max_body_bytes": "Largest message from a caller, in bytes.",
    "drain_s": "On SIGTERM: serve on for so long, until whoever sends calls here knows of it.",
}


@click.group()
def gate() -> None:
    """Run a gate of its own, beside the server that keeps the keys."""


def _mcp(**options: str | None) -> None:
    """Stand in front of an MCP server (streamable HTTP): each key sees and calls only what the policy gives it.

    The upstream's own credential comes from KEYSCOPE_UPSTREAM_KEY. The database is the one of a `keyscope serve` on
    this machine, which also mints the keys, with the same policy.
    """
    options["port"] = options["port"] or os.environ.get("KEYSCOPE_PORT") or MCP_PORT
    start_early(options, os.environ)
    settings = parse_settings({**options, **_OF_THE_SERVER}, os.environ)
    start_logging(settings.log_level, settings.log_format)
    policy = load(settings.policy)
    _require_together(settings, policy)
    check_addresses(settings)
    run_alone(settings, policy, McpApplication)


def _require_together(settings: Settings, policy: Policy) -> None:
    """Raise ConfigurationError with everything that keeps the gate from being of use."""
    faults = []
    if settings.upstream is None:
        faults.append(Fault("--upstream", "name the endpoint of the MCP server, like http://127.0.0.1:9000/mcp"))
    if not any(operation.method == METHOD for operation in policy.operations):
        faults.append(Fault("--policy", f"{policy.name} has no mcp section; see docs/gates/mcp.md"))
    if not (settings.is_node or _has_account(settings.database)):
        faults.append(Fault("--database", f"{settings.database} has no keys; start keyscope serve on it first"))
    if faults:
        raise ConfigurationError("settings", faults)
    require_sound(policy)


def _has_account(database: str) -> bool:
    if not database.startswith("sqlite:///"):
        return False
    store = open_store(database)

    def work(writer: Writer) -> bool:
        return bool(writer.accounts())

    try:
        return store.write(work)
    finally:
        store.close()


def _options(names: tuple[str, ...], about: Mapping[str, str]) -> list[click.Parameter]:
    settings = {setting.name: setting for setting in SETTINGS}
    return [_option(settings[name], about.get(name, settings[name].about)) for name in names]


def _option(setting: Setting, about: str) -> click.Option:
    default = MCP_PORT if setting.name == "port" else setting.default or "none"
    return click.Option(
        [setting.option], metavar="TEXT", help=f"{about}  [env: {setting.variable}; default: {default}]"
    )


gate.add_command(click.Command("mcp", params=_options(_MCP_SETTINGS, _ABOUT), callback=_mcp, help=_mcp.__doc__))
