"""Whether this machine can serve with these settings, asked before anything is made or printed."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

from keyscope.authority.opening import waits_for_another
from keyscope.authority.ports import Entropy, Store
from keyscope.errors import ConfigurationError, Fault
from keyscope.serving.application import held_box, signing_keys
from keyscope.settings import Settings
from keyscope.store.open import without_password
from keyscope.store.trouble import unusable
from keyscope.webhooks.signing import SECRET_BYTES, key_beside, sealer_beside


def check_addresses(settings: Settings) -> None:
    """Raise ConfigurationError if an address cannot be listened on.

    Asked before serving, because the server's own sockets share a port (SO_REUSEPORT) and would join a stranger's.
    """
    _check_address("--host, --port", "--port", settings.host, settings.port)
    if settings.envoy_grpc is not None:
        _check_address("--envoy-grpc", "port", settings.envoy_grpc.host, settings.envoy_grpc.port)


def _check_address(option: str, port_option: str, host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        fault = _address_fault(f"{host} port {port}", port_option, error)
        raise ConfigurationError("address", [Fault(option, fault)]) from None


def _address_fault(where: str, port_option: str, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"{where} is in use by another program; stop it or choose another {port_option}"
    if error.errno == errno.EACCES:
        return f"{where} needs more rights; choose a {port_option} above 1023"
    return f"cannot listen on {where}: {error.strerror or error}; choose an address of this machine"


def check_files(settings: Settings) -> None:
    """Raise ConfigurationError if a file that a setting names cannot be used."""
    signing_keys(settings)
    if settings.is_node:
        from keyscope.serving.nodes import check_replica  # PostgreSQL's client: it takes a while, and not all need it

        check_replica(settings)


def check_held(settings: Settings, store: Store, entropy: Entropy) -> None:
    """Raise ConfigurationError if held calls wait that this server can never open."""
    if settings.beside is None:
        return
    mark = held_box(settings, sealer_beside(settings.beside, entropy.random_bytes(SECRET_BYTES))).mark
    if store.read(lambda reader: any(waits_for_another(reader, one.id, mark) for one in reader.accounts())):
        raise unusable(
            f"In {without_password(settings.database)} held calls wait that are encrypted with another key than that of"
            f" this server. {_remedy(settings, settings.beside)} If it is lost, end those calls: keyscope db end-held."
        )


def _remedy(settings: Settings, beside: Path) -> str:
    if settings.held_key is not None:
        return "Set KEYSCOPE_HELD_KEY as it was when they were held, or unset it if it was not set."
    return (
        "Set KEYSCOPE_HELD_KEY if the other servers have it; else put their file in the place of"
        f" {key_beside(beside)}, the same on all."
    )


def check_extras(settings: Settings) -> None:
    """Raise ConfigurationError if a setting asks for packages that are not installed."""
    if settings.envoy_grpc is None:
        return
    try:
        import keyscope.serving.envoy_grpc  # noqa: F401  (only whether it can be)
    except ImportError as error:
        advice = f"the package {error.name} is missing; install what it needs: pip install 'keyscope[envoy]'"
        raise ConfigurationError("extra", [Fault("--envoy-grpc", advice)]) from None
