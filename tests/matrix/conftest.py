"""The matrix is asked of both engines."""

from tests.engines import live

__all__ = ["live"]
