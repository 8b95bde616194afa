"""Close connections that were opened and never said anything.

The server's own time limits begin with the first byte, so a caller that sends none would hold its place for ever. Linux
knows of each of our sockets how many bytes came and how long ago (tcp(7), TCP_INFO); elsewhere this does nothing.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
from contextlib import suppress
from pathlib import Path

_OPEN_FILES = Path("/proc/self/fd")
_TCP_INFO = getattr(socket, "TCP_INFO", 11)
# struct tcp_info: tcpi_state, tcpi_last_data_recv in ms, tcpi_bytes_received.
_STATE, _LAST_DATA_MS, _BYTES_RECEIVED = struct.Struct("=B"), struct.Struct("=I"), struct.Struct("=Q")
_LAST_DATA_AT, _BYTES_RECEIVED_AT, _SIZE = 52, 128, 136
_ESTABLISHED = 1


def close_silent(port: int, older_than_s: float) -> int:
    """Close our connections on this port from which nothing came for so long; how many there were."""
    if not _OPEN_FILES.exists():
        return 0
    closed = 0
    for name in os.listdir(_OPEN_FILES):
        with suppress(OSError):
            closed += _close_if_silent(int(name), port, older_than_s)
    return closed


def _close_if_silent(descriptor: int, port: int, older_than_s: float) -> bool:
    """Raises OSError for what is gone by now."""
    # Nothing but sockets is copied: closing the copy of a database's descriptor would drop SQLite's locks on it.
    if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        return False
    # A copy of the descriptor: closing it leaves the server's own alone, and shutting the connection down ends both.
    with socket.socket(fileno=os.dup(descriptor)) as ours:
        if ours.family not in (socket.AF_INET, socket.AF_INET6) or ours.getsockname()[1] != port:
            return False
        info = ours.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _SIZE)
        silent = len(info) == _SIZE and _is_silent(info, older_than_s)
        if silent:
            ours.shutdown(socket.SHUT_RDWR)
        return silent


def _is_silent(info: bytes, older_than_s: float) -> bool:
    (state,) = _STATE.unpack_from(info)
    (last_data_ms,) = _LAST_DATA_MS.unpack_from(info, _LAST_DATA_AT)
    (received,) = _BYTES_RECEIVED.unpack_from(info, _BYTES_RECEIVED_AT)
    return bool(state == _ESTABLISHED and received == 0 and last_data_ms > older_than_s * 1000)
