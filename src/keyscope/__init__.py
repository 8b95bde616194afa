"""Keyscope: a restricted-key authority. It issues API keys that can do less, enforces them, and proves it."""

from keyscope.derive import attenuate

__all__ = ["attenuate"]
__version__ = "0.1.0"
