"""How much memory a process holds, as the kernel counts it (proc_pid_status(5))."""

from __future__ import annotations

from pathlib import Path

_PEAK_RESET = "5"


class Memory:
    """Resident memory of one process, in bytes."""

    def __init__(self, pid: int) -> None:
        self._folder = Path(f"/proc/{pid}")

    @property
    def now(self) -> int:
        return self._field("VmRSS")

    @property
    def peak(self) -> int:
        """The most since the process began, or since ``reset_peak``."""
        return self._field("VmHWM")

    def reset_peak(self) -> None:
        (self._folder / "clear_refs").write_text(_PEAK_RESET)

    def _field(self, name: str) -> int:
        for line in (self._folder / "status").read_text("ascii").splitlines():
            label, _, value = line.partition(":")
            if label == name:
                return int(value.split()[0]) * 1024
        raise AssertionError(f"no {name} in {self._folder}")
