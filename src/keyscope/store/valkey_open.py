"""Open counters in Valkey or Redis by their URL, and see that it keeps what it is told.

The counters have an id, which is made once. Where a file may remember it, counters that are lost are no fresh start:
without it, every use that was spent would be given back.
"""

from __future__ import annotations

import logging
import secrets
from pathlib import Path

from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError
from redis.retry import Retry

from keyscope.errors import ConfigurationError, Fault
from keyscope.model.secret import Secret
from keyscope.store.marker import Mark, Marker
from keyscope.store.valkey_counters import ID, LEASE_MS, Client, ValkeyCounters

log = logging.getLogger(__name__)

TIMEOUT_S = 0.1
"""How long a call waits for an answer: meanwhile its process answers nobody."""

_KEEPS = {"maxmemory-policy": "noeviction", "appendonly": "yes"}
"""What Valkey must be set to, or it forgets what was spent when memory is short, or when it starts again."""


def open_valkey(
    url: str,
    password: Secret | None = None,
    remembered: Path | None = None,
    *,
    timeout_s: float = TIMEOUT_S,
    lease_ms: int = LEASE_MS,
    clock: bool = False,
) -> ValkeyCounters:
    """The counters at a URL. ``remembered`` is the file that remembers which they are, if there is one.

    Raises ConfigurationError, with a sentence that says what is wrong and how to mend it.
    """
    client = _client(url, password, timeout_s)
    try:
        _check_keeps(client)
        counters_id = _id(client, remembered)
    except (RedisError, OSError) as error:
        raise _unusable(f"Valkey at {url} does not answer as it should: {error}. See to its address.") from None
    return ValkeyCounters(client, counters_id, lease_ms=lease_ms, clock=clock)


def _client(url: str, password: Secret | None, timeout_s: float) -> Client:
    # What is asked again after a lost answer would be spent twice.
    return Redis.from_url(
        url,
        password=password.reveal() if password is not None else None,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        retry_on_error=[],
    )


def _check_keeps(client: Client) -> None:
    try:
        found = {name: client.config_get(name).get(name) for name in _KEEPS}
    except ResponseError as error:
        return log.warning("whether Valkey keeps what it is told is not known: %s", error)
    for name, wanted in _KEEPS.items():
        if found[name] != wanted:
            raise _unusable(f"Valkey may lose what it counts: set {name} to {wanted}, which is {found[name]} now.")
    return None


def _id(client: Client, remembered: Path | None) -> str:
    marker = Marker(remembered) if remembered is not None else None
    mark = marker.read() if marker is not None else None
    if mark is None:
        client.set(ID, secrets.token_hex(16), nx=True)
    found = client.get(ID)
    counters_id = found.decode() if isinstance(found, bytes) else ""
    if marker is not None and mark is None:
        marker.create(Mark(counters_id, 0))
    elif marker is not None and mark is not None and mark.database_id != counters_id:
        raise _unusable(
            "Valkey has not the counters that were used before. Restore them."
            f" Only if every use that was spent may be spent once more, delete {marker.path} and start again."
        )
    return counters_id


def _unusable(sentence: str) -> ConfigurationError:
    return ConfigurationError(sentence, [Fault("--counters", sentence)])
