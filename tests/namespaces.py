"""A network, mounts and processes of one's own: the kernel takes them away when the first of those processes ends."""

from __future__ import annotations

import os
import subprocess
from functools import cache

from scripts.programs import find_program


@cache
def apart() -> tuple[str, ...]:
    """The words that take a command there. Who is not root becomes a user who may all of it, and nothing outside."""
    user = () if os.geteuid() == 0 else ("--user", "--map-current-user", "--keep-caps")
    return (
        "unshare",
        *user,
        *("--net", "--mount", "--ipc"),
        *("--pid", "--fork", "--kill-child", "--mount-proc"),
    )


@cache
def are_allowed() -> bool:
    """Whether this user may make them, and bridges in them, on this machine."""
    ip = find_program("ip")
    if ip is None or find_program("unshare") is None:
        return False
    bridge = [*apart(), ip, "link", "add", "data", "type", "bridge"]
    return subprocess.run(bridge, capture_output=True, check=False).returncode == 0
