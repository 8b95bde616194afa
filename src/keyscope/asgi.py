"""Guard an ASGI application in its own process (docs/in-process.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import ip_network
from pathlib import Path

from keyscope.authority.ports import Store
from keyscope.authority.recording import Recording
from keyscope.client.verifiers import AsyncVerifier
from keyscope.errors import ConfigurationError, Fault
from keyscope.gate.embedded import EmbeddedJudge
from keyscope.gate.judge import Caller, Judge
from keyscope.gate.middleware import CALLER, App, Middleware
from keyscope.gate.remote import RemoteJudge
from keyscope.model.operation import Table
from keyscope.policy.check import require_sound
from keyscope.policy.document import Policy
from keyscope.policy.sources import load_any
from keyscope.serving.counted import counters_of
from keyscope.serving.recorded import recording_of
from keyscope.store.open import SQLITE, files_beside, open_store
from keyscope.store.postgres.address import is_postgres
from keyscope.system import SystemClock
from keyscope.wire.forwarded import Proxies

__all__ = ["CALLER", "Caller", "KeyscopeMiddleware"]

PolicySource = str | Policy | Callable[[], Policy]


class KeyscopeMiddleware(Middleware):
    """Lets through what a key's scopes cover by the policy, and refuses everything else.

    Either ``database`` and ``policy``: judge in this process, on the database of a ``keyscope serve`` on this host, and
    with PostgreSQL by its ``replica``, the file that its ``--replica`` names. The policy is a name, a file, a Policy,
    or a function that gives one when serving begins. Or ``verifier``: ask a Keyscope server, by its policy.

    With a database, what is judged goes into its audit trail, unless ``audit`` is false. Keys whose use is limited are
    counted with that database, or at the ``counters`` that its server names (``redis://…``).

    ``trusted_proxies`` are the addresses or networks of the proxies in front, empty if there are none; without it keys
    that may be used only from certain addresses are refused.

    ``exempt`` are paths that need no key, each exactly as it is called. The application finds a Caller in
    ``scope["keyscope"]`` (None on an exempt path), and no Authorization header.
    """

    def __init__(
        self,
        app: App,
        *,
        database: str | None = None,
        replica: str | Path | None = None,
        policy: PolicySource | None = None,
        verifier: AsyncVerifier | None = None,
        exempt: Iterable[str] = (),
        audit: bool = True,
        counters: str | None = None,
        trusted_proxies: Iterable[str] | None = None,
        max_header_bytes: int = 16384,
        max_body_bytes: int = 1 << 20,
        body_timeout_s: float = 30.0,
    ) -> None:
        """Raises ConfigurationError. ``max_body_bytes`` and ``body_timeout_s`` bound only bodies that are judged."""
        proxies = _proxies(trusted_proxies) if trusted_proxies is not None else None
        super().__init__(
            app,
            _judge(database, replica, policy, verifier, audit, counters, knows_peer=proxies is not None),
            exempt=exempt,
            max_header_bytes=max_header_bytes,
            max_body_bytes=max_body_bytes,
            body_timeout_s=body_timeout_s,
            proxies=proxies,
        )


def _proxies(given: Iterable[str]) -> Proxies:
    try:
        return Proxies(tuple(map(ip_network, given)))
    except ValueError as error:
        fault = Fault("trusted_proxies", f"give addresses or networks, like 10.0.0.0/8 ({error})")
        raise ConfigurationError("middleware", [fault]) from None


def _judge(
    database: str | None,
    replica: str | Path | None,
    policy: PolicySource | None,
    verifier: AsyncVerifier | None,
    audit: bool,
    counters: str | None,
    *,
    knows_peer: bool,
) -> Judge:
    if verifier is not None and database is None and policy is None:
        return RemoteJudge(verifier, knows_peer=knows_peer)
    if verifier is not None or database is None or policy is None:
        message = "give either database and policy, or verifier, whose server has the policy"
        raise ConfigurationError("middleware", [Fault("KeyscopeMiddleware", message)])
    known = load_any(policy) if isinstance(policy, str) else policy
    if isinstance(known, Policy):
        require_sound(known)
    if is_postgres(database) is (replica is None):
        message = "with PostgreSQL, and only then, name the file that --replica of the `keyscope serve` here names"
        raise ConfigurationError("middleware", [Fault("replica", message)])
    clock, kept = SystemClock(), Path(replica or "")

    def record(store: Store) -> Recording:
        return recording_of(files_beside(database, kept), store, clock, is_server=False)

    return EmbeddedJudge(
        lambda: _existing(database, kept),
        lambda: _table(known),
        clock,
        record if audit else None,
        lambda: counters_of(database, counters),
        knows_peer=knows_peer,
    )


def _table(source: Policy | Callable[[], Policy]) -> Table:
    policy = source if isinstance(source, Policy) else source()
    require_sound(policy)
    return policy.table()


def _existing(database: str, replica: Path) -> Store:
    """The store, which ``keyscope serve`` has made: a fresh one would know no key, and hide a wrong path."""
    if is_postgres(database):
        from keyscope.store.replica.store import ReplicaStore  # PostgreSQL's client: not all need it

        return ReplicaStore.open(database, replica)
    if database.startswith(SQLITE) and not Path(database.removeprefix(SQLITE)).exists():
        message = f"there is no database at {database}; start `keyscope serve` on it first, or mend the path"
        raise ConfigurationError("database", [Fault("database", message)])
    return open_store(database)
