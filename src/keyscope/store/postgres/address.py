"""The address of a PostgreSQL database: a URL as libpq takes it, several hosts included. It may hold a password."""

from __future__ import annotations

import re

from msgspec import Struct

from keyscope.store.trouble import unusable

SCHEMES = ("postgresql://", "postgres://")
_FORM = (
    "Write postgresql://USER@HOST:5432/DATABASE, several hosts with commas between. Signs like : / @ ? # % in a"
    " password are written as %3A %2F %40 %3F %23 %25; better, leave it out and set PGPASSWORD or PGPASSFILE."
)
_DEFAULTS = {
    "connect_timeout": "5",
    "target_session_attrs": "read-write",
    "application_name": "keyscope",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
"""What the URL does not say. Of several hosts the one is taken that can be written to: the primary, after a failover
too. The times let a network that swallows packets be noticed within about ten seconds."""


_PORTS = re.compile(r"[0-9,]*")


class Address(Struct, frozen=True):
    """``parameters`` are libpq's; ``shown`` is for people and logs, without user and password."""

    parameters: dict[str, str]
    shown: str

    def __repr__(self) -> str:
        return f"Address({self.shown})"

    def hide(self, words: str) -> str:
        """Words of libpq's, without the password, should they quote it."""
        password = self.parameters.get("password")
        return words.replace(password, "…") if password else words


def is_postgres(url: str) -> bool:
    return url.startswith(SCHEMES)


def parse(url: str) -> Address:
    """Raises ConfigurationError. No word of the URL is repeated in it: where it does not parse, any may be a secret."""
    given = _parameters(url)
    if given is None or not _PORTS.fullmatch(given.get("port", "")):
        # Outside of any except clause: what libpq says of it must not hang on to this error.
        raise unusable(f"The address of the PostgreSQL database cannot be read. {_FORM}")
    return Address({**_DEFAULTS, **given}, f"postgresql://{_hosts(given)}/{given.get('dbname', '')}")


def _hosts(given: dict[str, str]) -> str:
    hosts = (given.get("host") or given.get("hostaddr") or "").split(",")
    ports = given.get("port", "").split(",")
    ports = ports * len(hosts) if len(ports) == 1 else ports
    return ",".join(f"{host}:{port}" if port else host for host, port in zip(hosts, ports, strict=False))


def _parameters(url: str) -> dict[str, str] | None:
    import psycopg  # a twentieth of a second, and only for those who have PostgreSQL
    from psycopg.conninfo import conninfo_to_dict

    try:
        return {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
    except psycopg.Error:
        return None
