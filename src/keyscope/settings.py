"""The settings of ``keyscope serve``: one table, from which the command's options, the environment and the docs come.

Every setting is an option and an environment variable ``KEYSCOPE_<NAME>``; the secrets are environment variables only,
because a command line is visible to every user of a machine. Each variable may also name a file that holds the value,
``KEYSCOPE_<NAME>_FILE``: service managers and container platforms hand secrets over so. All faults are told at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from keyscope.authority.counting import AWAY_CLOSED, AWAY_OPEN
from keyscope.authority.limits import Limits
from keyscope.authority.sessions import Lifetimes
from keyscope.errors import ConfigurationError, Fault
from keyscope.model.secret import Secret
from keyscope.setting_values import (
    Address,
    Network,
    address,
    bootstrap_key,
    counters,
    filled,
    keys_source,
    networks,
    one_of,
    origin,
    password,
    path,
    proxies,
    public_url,
    random_key,
    seconds,
    upstream_key,
    whole,
    yes_or_no,
)
from keyscope.store.open import files_beside
from keyscope.store.postgres.address import is_postgres
from keyscope.webhooks.address import PRIVATE, PUBLIC

PREFIX = "KEYSCOPE_"

FOR_COMMANDS = (f"{PREFIX}URL", f"{PREFIX}API_KEY")
"""What the commands that talk to a server read. They stand in the same environment and are no misspelt settings."""

_MOST_IN_A_FILE = 8192
"""Characters."""

GITHUB_URL = "https://api.github.com/meta/public_keys/secret_scanning"
GITHUB_KEYS = "--leaks-github-keys"

BUILT_IN, HAPROXY = "builtin", "haproxy"
"""The engines."""

TEXT, JSON = "text", "json"
LOG_FORMATS = (TEXT, JSON)


class Setting(Struct, frozen=True):
    """One setting. ``parse`` turns its text into a value or raises ValueError with a sentence for people."""

    name: str
    default: str
    parse: Callable[[str], Any]
    about: str
    secret: bool = False

    @property
    def option(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        return PREFIX + self.name.upper()

    @property
    def file_variable(self) -> str:
        """The variable that names a file with the value."""
        return f"{self.variable}_FILE"


class Settings(Struct, frozen=True):
    """The parsed settings. ``_s`` are seconds, ``_bytes`` bytes."""

    host: str
    port: int
    database: str
    replica: Path
    node_name: str
    max_staleness: float
    receipt_wait_s: float
    policy: str
    upstream: str | None
    engine: str
    engine_threads: int
    workers: int
    forward_auth_peers: tuple[Network, ...]
    metrics_peers: tuple[Network, ...]
    trusted_proxies: tuple[Network, ...] | None
    otlp_endpoint: str | None
    webhook_targets: str
    webhook_wait_s: float
    webhook_tries: int
    webhook_expiring_s: float
    envoy_grpc: Address | None
    max_header_bytes: int
    max_body_bytes: int
    header_timeout_s: float
    body_timeout_s: float
    upstream_connect_timeout_s: float
    upstream_timeout_s: float
    restricted_may_mint_standard: bool
    max_key_depth: int
    max_child_keys: int
    max_rotation_overlap_s: float
    undelete_window_s: float
    console: bool
    console_idle_s: float
    console_session_s: float
    counters: str | None
    counters_away: str
    audit: bool
    audit_days: int
    log_level: str
    log_format: str
    drain_s: float
    stop_s: float
    public_url: str | None
    leaks_github_keys: str | Path | None
    leaks_revoke: bool
    upstream_key: Secret | None
    bootstrap_key: Secret | None
    audit_key: Secret | None
    held_key: Secret | None
    counters_password: Secret | None

    @property
    def is_node(self) -> bool:
        """Whether this server is one of several on one PostgreSQL."""
        return is_postgres(self.database)

    @property
    def local_host(self) -> str:
        """The address at which this server is reached from its own machine."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104  (compared, not bound)

    @property
    def beside(self) -> Path | None:
        """The path that this server's own files are named after (``PATH.audit`` is its trail); None: it has none."""
        return files_beside(self.database, self.replica)

    @property
    def limits(self) -> Limits:
        """How far keys may go."""
        return Limits(
            max_depth=self.max_key_depth,
            max_children=self.max_child_keys,
            max_overlap_ms=int(self.max_rotation_overlap_s * 1000),
            undelete_window_ms=int(self.undelete_window_s * 1000),
            restricted_may_mint_standard=self.restricted_may_mint_standard,
        )

    @property
    def session_lifetimes(self) -> Lifetimes:
        """How long sessions of the console live."""
        return Lifetimes(idle_ms=int(self.console_idle_s * 1000), whole_ms=int(self.console_session_s * 1000))

    @property
    def url(self) -> str:
        host = f"[{self.local_host}]" if ":" in self.local_host else self.local_host
        return f"http://{host}:{self.port}"


SETTINGS: tuple[Setting, ...] = (
    Setting("host", "127.0.0.1", filled, "Address to listen on."),
    Setting("port", "8700", whole(1, 65535), "Port to listen on, HTTP/1.1 and HTTP/2 with prior knowledge."),
    Setting(
        "database", "sqlite:///keyscope.db", filled, "Where keys are kept: sqlite:///FILE, a PostgreSQL URL, memory://."
    ),
    Setting(
        "replica",
        "keyscope-replica.db",
        path,
        "With PostgreSQL: the file of this node's copy of the keys, and the path of its other files.",
    ),
    Setting("node_name", "", str, "With PostgreSQL: what this node is called in receipts. None: its host and port."),
    Setting(
        "max_staleness",
        "5",
        seconds(0.2, 3600),
        "With PostgreSQL: seconds after which a node that hears nothing from it judges nothing.",
    ),
    Setting(
        "receipt_wait_s",
        "6",
        seconds(0, 3600),
        "With PostgreSQL: how long a revocation waits until every node has it or judges nothing.",
    ),
    Setting("policy", "runloop", filled, "The policy: runloop, github-issues, or a file."),
    Setting("upstream", "", origin, "Origin of the API behind the gate. Without it, Keyscope only answers questions."),
    Setting(
        "engine", BUILT_IN, one_of(BUILT_IN, HAPROXY), "What faces the callers: builtin, or haproxy, which judges."
    ),
    Setting("engine_threads", "0", whole(0, 64), "Threads of the HAProxy engine; 0 for as many as there are cores."),
    Setting("workers", "1", whole(1, 64), "Server processes."),
    Setting("forward_auth_peers", "127.0.0.0/8,::1", networks, "Peers that forward-auth answers, commas between."),
    Setting("metrics_peers", "127.0.0.0/8,::1", networks, "Peers that read the metrics without a key."),
    Setting(
        "trusted_proxies",
        "",
        proxies,
        "Proxies in front, whose X-Forwarded-For names the caller; none if there are none. Keys with cidrs need it.",
    ),
    Setting("otlp_endpoint", "", origin, "OpenTelemetry collector for traces, like http://127.0.0.1:4318."),
    Setting("webhook_targets", PUBLIC, one_of(PUBLIC, PRIVATE), "Where webhooks may go: public addresses, or all."),
    Setting("webhook_wait_s", "5", seconds(0.05, 3600), "Wait after a webhook's first try, then ever longer."),
    Setting("webhook_tries", "10", whole(1, 20), "Tries of a webhook until it is given up."),
    Setting("webhook_expiring_s", "86400", seconds(1, 31_536_000), "How long before its end a key is called expiring."),
    Setting("envoy_grpc", "", address, "Address to answer Envoy on over gRPC, like 127.0.0.1:8701. None: it is off."),
    Setting("max_header_bytes", "16384", whole(1024, 65536), "Largest request head, in bytes."),
    Setting("max_body_bytes", "1048576", whole(1024, 64 << 20), "Largest body that Keyscope itself reads, in bytes."),
    Setting("header_timeout_s", "10", seconds(0.1, 60), "Time for a request head, and for an idle connection."),
    Setting("body_timeout_s", "30", seconds(0.1, 600), "Time for a body that is read, or between two parts of one."),
    Setting("upstream_connect_timeout_s", "5", seconds(0.1, 60), "Time to connect to the upstream."),
    Setting("upstream_timeout_s", "60", seconds(0.1, 3600), "Time the upstream may be silent."),
    Setting("restricted_may_mint_standard", "no", yes_or_no, "Let restricted keys with write on keys mint ak_ keys."),
    Setting("max_key_depth", "64", whole(1, 64), "Most keys in a line that minted each other, the ak_ key included."),
    Setting("max_child_keys", "1000", whole(0, 1_000_000), "Most living keys that one restricted key has minted."),
    Setting("max_rotation_overlap_s", "604800", seconds(0, 31_536_000), "Longest life of an old secret, in seconds."),
    Setting("undelete_window_s", "604800", seconds(0, 31_536_000), "How long a revoked key can be brought back."),
    Setting("console", "yes", yes_or_no, "Answer browsers at /keyscope/console."),
    Setting("console_idle_s", "1800", seconds(1, 86_400), "Life of a console session without a request, in seconds."),
    Setting("console_session_s", "28800", seconds(1, 604_800), "Longest life of a console session, in seconds."),
    Setting("counters", "", counters, "Where uses are counted for several nodes: redis://HOST, rediss:// or unix://."),
    Setting(
        "counters_away",
        AWAY_CLOSED,
        one_of(AWAY_CLOSED, AWAY_OPEN),
        "While nothing can be counted: closed, or rates-pass, which lets keys through that are limited in rate alone.",
    ),
    Setting("audit", "yes", yes_or_no, "Keep the audit trail, in FILE.audit beside the database."),
    Setting("audit_days", "0", whole(0, 36500), "Days for which the audit trail is kept; 0 for ever."),
    Setting("log_level", "info", one_of("debug", "info", "warning", "error"), "How much to log, on stderr."),
    Setting("log_format", TEXT, one_of(*LOG_FORMATS), "Lines for people, or json: one object a line."),
    Setting("drain_s", "0", seconds(0, 3600), "On SIGTERM: serve on for so long while readyz says 503 draining."),
    Setting("stop_s", "10", seconds(0, 3600), "After that: how long requests under way may take to end."),
    Setting("public_url", "", public_url, "Where clients reach this server, like https://keys.example.com."),
    Setting(
        "leaks_github_keys",
        "",
        keys_source,
        f"Take GitHub's reports of leaked keys: the address of its public keys ({GITHUB_URL}), or a file.",
    ),
    Setting("leaks_revoke", "yes", yes_or_no, "End keys that GitHub reports; no only records the reports."),
    Setting("upstream_key", "", upstream_key, "The key that requests carry to the upstream.", secret=True),
    Setting("bootstrap_key", "", bootstrap_key, "The first ak_ key, for an empty database.", secret=True),
    Setting(
        "audit_key",
        "",
        random_key,
        "Signs the audit's checkpoints: 32 bytes in base64. None: FILE.audit.key.",
        secret=True,
    ),
    Setting(
        "held_key",
        "",
        random_key,
        "Encrypts held calls: 32 bytes in base64, the same on all servers. None: by FILE.webhooks.key.",
        secret=True,
    ),
    Setting("counters_password", "", password, "The password of what --counters names.", secret=True),
)


def parse_settings(given: Mapping[str, str | None], environment: Mapping[str, str]) -> Settings:
    """Settings from options (by setting name), then the environment, then the defaults.

    Raises ConfigurationError with every fault: wrong values, misspelt variables, and settings that do not go together.
    """
    values: dict[str, Any] = {}
    faults: list[Fault] = []
    for setting in SETTINGS:
        text, source = "", setting.variable
        try:
            text, source = _given_to(setting, given, environment)
            values[setting.name] = setting.parse(text)
        except ValueError as error:
            is_shown = text and "@" not in text and not setting.secret and source in (setting.option, setting.variable)
            faults.append(Fault(source, f"{f' {text!r}:' if is_shown else ''} {error}".strip()))
    faults += _misspelt(environment)
    faults += _together(values)
    if faults:
        raise ConfigurationError("settings", faults)
    return Settings(**values)


def _given_to(setting: Setting, given: Mapping[str, str | None], environment: Mapping[str, str]) -> tuple[str, str]:
    """The text of a setting and where it is from. Raises ValueError for one whose file cannot be read."""
    option = given.get(setting.name)
    if option is not None:
        return option, setting.option
    file = environment.get(setting.file_variable)
    if file is None:
        return environment.get(setting.variable, setting.default), setting.variable
    if setting.variable in environment:
        raise ValueError(f"{setting.file_variable} is set as well; keep one of the two")
    return _content(file, setting.file_variable), setting.file_variable


def _content(file: str, variable: str) -> str:
    """What a file holds, without the end of its line."""
    try:
        with open(file, encoding="utf-8") as content:
            text = content.read(_MOST_IN_A_FILE + 1)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ValueError(f"{variable} names {file}, which cannot be read: {why}") from None
    if len(text) > _MOST_IN_A_FILE:
        raise ValueError(f"{variable} names {file}, which is larger than any setting")
    return text.rstrip("\r\n")


def _misspelt(environment: Mapping[str, str]) -> list[Fault]:
    """Variables that look like a setting and are none. Others (a container platform sets some) are left alone."""
    known = [name for setting in SETTINGS for name in (setting.variable, setting.file_variable)]
    faults = []
    for name in environment:
        near = get_close_matches(name, known, n=1, cutoff=0.85)
        if name.startswith(PREFIX) and name not in (*known, *FOR_COMMANDS) and near:
            faults.append(Fault(name, f"there is no such setting; did you mean {near[0]}?"))
    return faults


def _together(values: Mapping[str, Any]) -> list[Fault]:
    """Settings that are good alone and not together."""
    if values.get("database") == "memory://" and values.get("workers", 1) > 1:
        return [Fault("--workers", "several workers cannot share memory://; use sqlite:///FILE")]
    if values.get("engine") == HAPROXY and values.get("database") == "memory://":
        return [Fault("--engine", "HAProxy reads the keys from a database; use sqlite:///FILE")]
    if values.get("engine") == HAPROXY and values.get("upstream", "") is None:
        return [Fault("--upstream", "the HAProxy engine needs an API behind it; set its origin")]
    if values.get("engine") == HAPROXY and urlsplit(values.get("upstream") or "").path:
        return [Fault("--upstream", "the HAProxy engine takes an origin without a path, like https://api.example.com")]
    if values.get("upstream_key") is not None and values.get("upstream", "") is None:
        return [Fault("--upstream", "KEYSCOPE_UPSTREAM_KEY is set and the upstream is not; set both or neither")]
    envoy_grpc = values.get("envoy_grpc")
    if envoy_grpc is not None and envoy_grpc.port == values.get("port"):
        return [Fault("--envoy-grpc", f"port {envoy_grpc.port} is the one of --port; choose another")]
    return []
