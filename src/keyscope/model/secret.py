"""A secret that does not show itself.

``Secret`` prints, formats and pickles as nothing. ``reveal`` is the one way to the text, so that a search for
``.reveal(`` finds every place where a secret is used (law 5).
"""

from __future__ import annotations

import hashlib
from typing import NoReturn


class Secret:
    """A key's text. Compare digests, not secrets."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself, for the one reply that shows it and for sending it on as a credential."""
        return self._text

    @property
    def digest(self) -> bytes:
        """SHA-256 of the text, 32 bytes.

        A fast hash is right here: the text holds 256 random bits, so there is nothing to guess (OWASP ASVS 6.5.2
        asks for a slow hash below 112 bits). A slow one would cost every request 100 ms and add no safety.
        """
        return hashlib.sha256(self._text.encode()).digest()

    @property
    def hint(self) -> str:
        """The last four characters, so that people can tell keys apart. They belong to the checksum."""
        return self._text[-4:]

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is never pickled or copied out of its process")
