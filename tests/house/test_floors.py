"""The import floors: a file imports only from floors below, or from a file before it on its own floor.

The map knows every file. A new file is added here first.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "keyscope"

FLOORS: tuple[tuple[str, ...], ...] = (
    ("errors",),
    (
        "model",
        "model.scope",
        "model.secret",
        "model.token",
        "model.ident",
        "model.key",
        "model.derived",
        "model.shapes",
        "model.body",
        "model.operation",
        "model.access",
        "model.decision",
        "model.event",
        "model.shown",
    ),
    (
        "policy",
        "policy.source",
        "policy.rows",
        "policy.tools",
        "policy.advice",
        "policy.document",
        "policy.linter",
        "policy.overlaps",
        "policy.findings",
        "policy.openapi",
        "policy.annotated",
        "policy.sources",
        "policy.check",
        "policy.diff",
        "policy.own",
        "authority",
        "authority.ports",
        "authority.trail",
        "authority.ledger",
        "authority.meter",
        "authority.recording",
        "authority.bounds",
        "authority.limits",
        "authority.lookup",
        "authority.replay",
        "authority.rules",
        "authority.mint",
        "authority.bootstrap",
        "authority.lifecycle",
        "authority.idle",
        "authority.account",
        "authority.rotate",
        "authority.panic",
        "authority.tree",
        "authority.derivation",
        "authority.leaks",
        "authority.tripwire",
        "authority.verify",
        "authority.explain",
        "authority.sessions",
        "authority.least",
    ),
    (
        "store",
        "store.trouble",
        "store.rows",
        "store.line",
        "store.query",
        "store.memory_reader",
        "store.memory_writer",
        "store.memory",
        "store.walindex",
        "store.index",
        "store.marker",
        "store.migrate",
        "store.connect",
        "store.prepare",
        "store.session",
        "store.batch",
        "store.sqlite",
        "store.open",
        "store.trail_rows",
        "store.trail_query",
        "store.trail",
        "store.trail_open",
    ),
    (
        "client.events",
        "client.answers",
        "client.cache",
        "client.verifiers",
        "client",
        "wire",
        "wire.bearer",
        "wire.codec",
        "wire.target",
        "wire.asked",
        "wire.own",
        "wire.problem",
        "wire.refusal",
        "wire.asgi",
        "wire.call",
        "wire.body",
        "wire.form",
        "wire.rpc",
        "plan",
        "plan.calls",
        "plan.har",
        "plan.lines",
        "plan.read",
        "plan.plan",
        "gate",
        "gate.faults",
        "gate.headers",
        "gate.standing",
        "gate.stream",
        "gate.admit",
        "gate.peers",
        "gate.timed",
        "gate.upkeep",
        "gate.writing",
        "gate.judge",
        "gate.embedded",
        "gate.remote",
        "gate.middleware",
        "gate.forward",
        "gate.envoy",
        "gate.export",
        "gate.exchange",
        "gate.upstream",
        "gate.proxy",
        "gate.websocket",
        "gate.shared",
        "gate.mcp_call",
        "gate.mcp_lists",
        "gate.mcp_judge",
        "gate.mcp_session",
        "gate.mcp_relay",
        "gate.mcp",
        "gate.followers",
        "gate.haproxy",
        "gate.haproxy.bits",
        "gate.haproxy.routes",
        "gate.haproxy.names",
        "gate.haproxy.entries",
        "gate.haproxy.files",
        "gate.haproxy.configuration",
        "gate.haproxy.news",
        "gate.haproxy.runtime",
        "gate.haproxy.feeder",
        "gate.haproxy.uses",
        "gate.haproxy.feed",
        "gate.haproxy.engine",
        "leaks",
        "leaks.github",
        "leaks.published",
        "api",
        "api.requests",
        "api.replies",
        "api.replies.shape",
        "api.replies.keys",
        "api.replies.tree",
        "api.replies.ending",
        "api.replies.leaks",
        "api.replies.rules",
        "api.replies.asked",
        "api.replies.service",
        "api.documented",
        "api.feed",
        "api.families",
        "api.meters",
        "api.caller",
        "api.kinds",
        "api.keys",
        "api.life",
        "api.ending",
        "api.leaks",
        "api.me",
        "api.verify",
        "api.changes",
        "api.rules",
        "api.metrics",
        "api.service",
        "api.plain",
        "api.introspection",
        "api.evaluation",
        "api.authzen_shapes",
        "api.authzen",
        "console",
        "console.words",
        "console.statics",
        "console.rendering",
        "console.own_page",
        "console.cookie",
        "console.visitor",
        "console.kit",
        "console.entrance",
        "console.grid",
        "console.summary",
        "console.lifetime",
        "console.once",
        "console.overview",
        "console.key_list",
        "console.target",
        "console.minting",
        "console.key_page",
        "console.life",
        "console.changing",
        "console.asking",
        "console.own_key",
        "console.site",
        "api.app",
    ),
    (
        "settings",
        "system",
        "recorded",
        "asgi",
        "fastapi",
        "derive",
        "__init__",
        "silent",
        "behind",
        "application",
        "mcp_application",
        "envoy_grpc",
        "startable",
        "server",
        "supervise",
        "scan",
        "scan.findings",
        "scan.stream",
        "scan.files",
        "scan.git",
        "scan.history",
        "cli",
        "cli.options",
        "cli.output",
        "cli.client",
        "cli.serve",
        "cli.gate",
        "cli.attenuate",
        "cli.keys",
        "cli.life",
        "cli.rules",
        "cli.leaked",
        "cli.scan",
        "cli.ask",
        "cli.plan",
        "cli.changes",
        "cli.policy",
        "cli.doctor",
        "cli.export",
        "cli.feed",
        "cli.completion",
        "cli.mcp_tools",
        "cli.mcp",
        "cli.draft",
        "cli.main",
        "__main__",
    ),
)

ORDER = {name: (floor, place) for floor, names in enumerate(FLOORS) for place, name in enumerate(names)}

# What a floor never does, by the libraries it must not know.
NEVER = {
    "model": ("time", "os", "secrets", "random", "sqlite3", "socket", "asyncio", "fastapi", "aiohttp", "pydantic"),
    "policy": ("fastapi", "starlette", "aiohttp", "httpx", "sqlite3", "asyncio"),
    "authority": ("sqlite3", "fastapi", "starlette", "aiohttp", "pydantic", "asyncio", "time", "secrets"),
    "store": ("fastapi", "starlette", "aiohttp", "pydantic"),
    "plan": ("fastapi", "starlette", "aiohttp", "httpx", "pydantic", "sqlite3", "asyncio"),
    "client": ("fastapi", "starlette", "aiohttp", "pydantic", "sqlite3", "granian"),
    "gate": ("fastapi", "starlette", "sqlite3", "pydantic"),
    "api": ("sqlite3", "aiohttp"),
}


def _name(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


FILES = {_name(path): path for path in sorted(SOURCE.rglob("*.py"))}


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            found |= {f"{module}.{alias.name}" for alias in node.names} | {module}
    return found


def test_the_map_knows_every_file() -> None:
    assert sorted(FILES) == sorted(ORDER)


@pytest.mark.parametrize("name", sorted(FILES))
def test_imports_go_down(name: str) -> None:
    own = {found.removeprefix("keyscope.") for found in _imports(FILES[name]) if found.startswith("keyscope.")}
    for imported in own & set(ORDER):
        assert ORDER[imported] < ORDER[name], f"{name} imports {imported}, which stands above it"


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_floor_leaves_out_what_it_must_not_know(name: str) -> None:
    forbidden = NEVER.get(name.split(".")[0], ())
    roots = {found.split(".")[0] for found in _imports(FILES[name])}
    assert not roots & set(forbidden)
