"""Ask a Keyscope server what a key may do: ``Verifier``, and ``AsyncVerifier`` for asyncio. Both fail closed.

Nothing here decides: the rules are the cache's, the judgement is the server's. What cannot be verified raises, and
never allows. These two only carry questions, and follow the changes for as long as they live.

How fresh an answer is: a change is heard within a few milliseconds of its commit, and the answers that it touches are
gone. If the network holds the stream back, an answer is used until it is ``max_age_s`` old; if the stream ends, for not
a moment more, and each call is asked again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Sequence
from types import TracebackType

import httpx
from msgspec import UNSET, UnsetType

from keyscope.client.answers import VERIFY, Answer, Question, body_of, question, read_answer
from keyscope.client.cache import AnswerCache
from keyscope.client.events import EventReader
from keyscope.errors import AuthorityUnavailable
from keyscope.model.body import Json
from keyscope.model.scope import Scope
from keyscope.model.secret import Secret

log = logging.getLogger(__name__)

CHANGES = "/keyscope/changes"
MAX_AGE_S = 5.0
MAX_ENTRIES = 10_000
TIMEOUT_S = 5.0
_SILENT_S = 3.0
"""A stream that says nothing for so long is lost: it says something twice a second."""
_AGAIN_S = 0.5

_STREAM_TIMEOUT = httpx.Timeout(TIMEOUT_S, read=_SILENT_S)
_JSON = {"content-type": "application/json"}


class _Settings:
    """What both verifiers are made of, checked."""

    def __init__(self, url: str, api_key: Secret | str, max_age_s: float, max_entries: int, timeout_s: float) -> None:
        key = api_key if isinstance(api_key, Secret) else Secret(api_key)
        if not url.startswith(("http://", "https://")):
            raise ValueError("the URL of the Keyscope server starts with http:// or https://")
        if not key.reveal().isascii() or not key.reveal().isprintable() or not key.reveal():
            raise ValueError("the key has characters that no key has; copy it again, whole")
        if not (0 <= max_age_s <= 3600 and max_entries >= 1 and timeout_s > 0):
            raise ValueError("max_age_s is 0 to 3600 seconds, max_entries at least 1, timeout_s above 0")
        self.url = url.rstrip("/")
        self.key = key
        self.timeout_s = timeout_s
        self.follows = max_age_s > 0
        self.cache = AnswerCache(max_age_s, max_entries)

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key.reveal()}"}

    def lost(self, error: Exception | None) -> None:
        """The stream of changes ended, or never began."""
        self.cache.lost()
        log.info("no changes from %s (%s): answers are not kept", self.url, type(error).__name__ if error else "ended")


def _silent(error: Exception) -> AuthorityUnavailable:
    """Without the error itself, which holds the request, keys included."""
    return AuthorityUnavailable(f"no answer from the Keyscope server ({type(error).__name__})")


class Verifier:
    """For programs with threads, or without. One for the whole process; make it after forking. A context manager.

    ``api_key`` needs read on keys. ``max_age_s`` bounds the age of a kept answer (0 keeps none), ``max_entries`` their
    number, ``timeout_s`` each question.
    """

    def __init__(
        self,
        url: str,
        api_key: Secret | str,
        *,
        max_age_s: float = MAX_AGE_S,
        max_entries: int = MAX_ENTRIES,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._settings = _Settings(url, api_key, max_age_s, max_entries, timeout_s)
        self._http = httpx.Client(
            base_url=self._settings.url, headers=self._settings.headers, timeout=timeout_s, trust_env=False
        )
        self._closed = threading.Event()
        self._starting = threading.Lock()
        self._follower: threading.Thread | None = None

    def verify(
        self,
        key: str,
        *,
        method: str | None = None,
        path: str | None = None,
        scopes: Sequence[Scope | str] = (),
        body: Json | UnsetType = UNSET,
        peer: str | None = None,
    ) -> Answer:
        """Whether the key is good, and covers the call (``method``, ``path``, ``body`` where it matters) and scopes.

        ``peer`` is the address of the caller, for keys that may be used only from certain ones.
        Raises AuthorityUnavailable when that cannot be known, BadRequest for a call that is none, and ValueError.
        """
        asked, cache = question(key, method, path, scopes), self._settings.cache
        self._follow()
        kept = cache.get(asked, time.monotonic()) if body is UNSET else None
        if kept is not None:
            return kept
        mark = cache.mark(time.monotonic())
        answer = self._ask(body_of(asked, key, body, peer))
        if body is UNSET:
            cache.put(asked, answer, mark)
        return answer

    def _ask(self, content: bytes) -> Answer:
        try:
            response = self._http.post(VERIFY, content=content, headers=_JSON)
        except (httpx.HTTPError, RuntimeError) as error:  # RuntimeError: it was closed
            raise _silent(error) from None
        return read_answer(response.status_code, response.content)

    def _follow(self) -> None:
        if self._settings.follows and (self._follower is None or not self._follower.is_alive()):
            with self._starting:
                if not self._closed.is_set() and (self._follower is None or not self._follower.is_alive()):
                    self._settings.cache.lost()
                    self._follower = threading.Thread(target=self._run, name="keyscope-changes", daemon=True)
                    self._follower.start()

    def _run(self) -> None:
        while not self._closed.is_set():
            fault: Exception | None = None
            try:
                self._hear()
            except Exception as error:
                fault = error
            finally:
                self._settings.lost(fault)
            self._closed.wait(_AGAIN_S)

    def _hear(self) -> None:
        reader = EventReader()
        with self._http.stream("GET", CHANGES, timeout=_STREAM_TIMEOUT) as response:
            response.raise_for_status()
            for piece in response.iter_raw():
                for event in reader.feed(piece):
                    self._settings.cache.heard(event, time.monotonic())
                if self._closed.is_set():
                    return

    def close(self) -> None:
        """Stop following. What is asked afterwards raises AuthorityUnavailable."""
        self._closed.set()
        self._settings.cache.lost()
        self._http.close()

    def __enter__(self) -> Verifier:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Verifier({self._settings.url!r})"


class AsyncVerifier:
    """For asyncio: one for each event loop. Parameters and promises are the Verifier's. An async context manager."""

    def __init__(
        self,
        url: str,
        api_key: Secret | str,
        *,
        max_age_s: float = MAX_AGE_S,
        max_entries: int = MAX_ENTRIES,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._settings = _Settings(url, api_key, max_age_s, max_entries, timeout_s)
        self._http = httpx.AsyncClient(
            base_url=self._settings.url, headers=self._settings.headers, timeout=timeout_s, trust_env=False
        )
        self._closed = False
        self._follower: asyncio.Task[None] | None = None

    async def verify(
        self,
        key: str,
        *,
        method: str | None = None,
        path: str | None = None,
        scopes: Sequence[Scope | str] = (),
        body: Json | UnsetType = UNSET,
        peer: str | None = None,
    ) -> Answer:
        """As ``Verifier.verify``."""
        asked = question(key, method, path, scopes)
        kept = self.kept(asked) if body is UNSET else None
        if kept is not None:
            return kept
        cache = self._settings.cache
        mark = cache.mark(time.monotonic())
        answer = await self._ask(body_of(asked, key, body, peer))
        if body is UNSET:
            cache.put(asked, answer, mark)
        return answer

    def kept(self, asked: Question) -> Answer | None:
        """The answer, if one is kept that may be used. Begins to follow the changes."""
        if self._settings.follows and not self._closed and (self._follower is None or self._follower.done()):
            self._settings.cache.lost()
            self._follower = asyncio.get_running_loop().create_task(self._run())
        return self._settings.cache.get(asked, time.monotonic())

    async def _ask(self, content: bytes) -> Answer:
        try:
            response = await self._http.post(VERIFY, content=content, headers=_JSON)
        except (httpx.HTTPError, RuntimeError) as error:  # RuntimeError: it was closed
            raise _silent(error) from None
        return read_answer(response.status_code, response.content)

    async def _run(self) -> None:
        while not self._closed:
            fault: Exception | None = None
            try:
                await self._hear()
            except Exception as error:
                fault = error
            finally:
                self._settings.lost(fault)
            await asyncio.sleep(_AGAIN_S)

    async def _hear(self) -> None:
        reader = EventReader()
        async with self._http.stream("GET", CHANGES, timeout=_STREAM_TIMEOUT) as response:
            response.raise_for_status()
            async for piece in response.aiter_raw():
                for event in reader.feed(piece):
                    self._settings.cache.heard(event, time.monotonic())

    async def aclose(self) -> None:
        """Stop following. What is asked afterwards raises AuthorityUnavailable."""
        self._closed = True
        if self._follower is not None:
            self._follower.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._follower
        self._settings.cache.lost()
        await self._http.aclose()

    async def __aenter__(self) -> AsyncVerifier:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"AsyncVerifier({self._settings.url!r})"
