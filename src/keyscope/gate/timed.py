"""How long something takes, for the meter."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import TypeVar

from keyscope.authority.meter import Times

T = TypeVar("T")


def timed(times: Times, work: Callable[..., T], *given: object) -> T:
    """Do the work and add the time that it took, whether it returns or raises."""
    began = perf_counter()
    try:
        return work(*given)
    finally:
        times.add(perf_counter() - began)
