"""For programs that ask a Keyscope server what a key may do (docs/client.md)."""

from keyscope.client.answers import Answer, KeyInfo
from keyscope.client.verifiers import AsyncVerifier, Verifier
from keyscope.errors import AuthorityRefused, AuthorityUnavailable

__all__ = ["Answer", "AsyncVerifier", "AuthorityRefused", "AuthorityUnavailable", "KeyInfo", "Verifier"]
