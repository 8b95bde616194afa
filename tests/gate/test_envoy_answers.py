"""Answers to Envoy over gRPC: the laws, the same laws against broken builds, faults injected everywhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from keyscope.errors import InvalidToken
from keyscope.gate import envoy
from keyscope.wire.problem import STATUSES, Answer
from tests.gate import envoy_laws as laws
from tests.gate.envoy_laws import JUDGED, LAWS, PEER, Asked
from tests.gate.questions import CheckResponse, HeaderValue, HeaderValueOption, Status, question, shown, verdict

SOURCE = str(Path(envoy.__file__).parents[1])
STORE = f"{SOURCE}/store/"


@pytest.fixture(scope="module")
def asking() -> Asked:
    return Asked()


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_law(law: Callable[[Asked], None], asking: Asked) -> None:
    law(asking)


def _starts_empty(refused: Answer) -> bytes:
    response = CheckResponse()
    response.denied_response.status.code = int(refused.status)
    response.denied_response.body = refused.body.decode()
    encoded: bytes = response.SerializeToString()
    return encoded


def _obeys_failure_mode(refused: Answer) -> bytes:
    response = CheckResponse(status=Status(code=7))
    response.error_response.status.code = int(refused.status)
    encoded: bytes = response.SerializeToString()
    return encoded


def _last_credential(http: Any) -> Any:
    headers = [(field.key.encode(), field.raw_value) for field in http.header_map.headers]
    keys = [value for name, value in headers if name == b"authorization"]
    others = [(name, value) for name, value in headers if name != b"authorization"]
    return [*others, (b"authorization", keys[-1].split(b",")[-1])] if keys else others


def _appends(name: bytes, value: bytes) -> Any:
    header = HeaderValue(key=name.decode(), value=value.decode())
    return HeaderValueOption(header=header)


class _Anybody:
    def __init__(self, networks: Any) -> None:
        pass

    def check(self, peer: str) -> None:
        pass


BROKEN: dict[str, tuple[str, Any, tuple[Callable[[Asked], None], ...]]] = {
    "a refusal starts from an empty response": (
        "_denied",
        _starts_empty,
        (laws.what_the_key_does_not_cover_is_refused, laws.two_credentials_are_none),
    ),
    "trouble is answered with nothing": (
        "CANNOT_DECIDE",
        b"",
        (laws.trouble_is_a_denial_with_503, laws.a_fault_of_ours_is_a_denial_with_503),
    ),
    "a refusal obeys failure_mode_allow": ("_denied", _obeys_failure_mode, (laws.trouble_is_a_denial_with_503,)),
    "the last of two credentials counts": ("_fields", _last_credential, (laws.two_credentials_are_none,)),
    "who calls is added to what the caller says": (
        "_field",
        _appends,
        (laws.who_calls_is_written_over_what_the_caller_says,),
    ),
    "what is shown of a body counts as the body": (
        "whole_body",
        lambda headers, http: http.raw_body,
        (laws.a_body_that_is_not_shown_whole_needs_the_scopes_of_every_condition,),
    ),
    "the type of a body does not matter": (
        "check_media_type",
        lambda headers, wanted: None,
        (laws.a_body_that_is_not_plain_json_is_refused,),
    ),
    "bodies are not judged": ("is_judged_by_body", lambda allow: False, (laws.a_body_that_is_shown_is_judged,)),
    "the path is believed as it was written": (
        "_target",
        lambda http, fields: http.path.encode(),
        (laws.a_path_that_was_not_shown_byte_for_byte_is_refused,),
    ),
    "keys may be made at the upstream": (
        "is_own",
        lambda path: False,
        (laws.a_path_of_keyscopes_own_is_never_sent_on,),
    ),
    "every peer is believed": (
        "address_of",
        lambda peer: "127.0.0.1",
        (laws.only_the_peers_of_the_settings_are_believed,),
    ),
}


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_a_broken_build_is_caught(name: str, asking: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    part, broken, noticing = BROKEN[name]
    monkeypatch.setattr(envoy, part, broken)
    for law in noticing:
        with pytest.raises(AssertionError):
            law(asking)


def _questions(asking: Asked) -> Iterator[bytes]:
    body = b'{"name": "x"}'
    yield question("GET", "/v1/devboxes?limit=1", asking.reader)
    yield question("GET", "/v1/devboxes", asking.standard)
    yield question("POST", JUDGED, asking.writer, shown(body), body)
    yield question("POST", JUDGED, asking.writer, shown(b'{"mounts": [\\u0041]}'), b'{"mounts": [\\u0041]}')
    yield question("GET", "/v1/blueprints", asking.reader)


def _with_fault(raw: bytes, gate: envoy.EnvoyGate, place: int, fault: type[Exception]) -> tuple[bytes, int]:
    """The answer if ``fault`` is raised in the call of that number, and how many calls there were.

    Every call counts that Keyscope's own code makes or receives, into C too, except that of ``check`` itself. (Not into
    C from the store in memory: a lock that cannot be given back would only stop the test.)
    """
    seen = 0

    def profile(frame: FrameType, event: str, _: object) -> None:
        nonlocal seen
        own = frame.f_code.co_filename.startswith(SOURCE) and frame.f_code is not envoy.EnvoyGate.check.__code__
        if own and (event == "call" or (event == "c_call" and not frame.f_code.co_filename.startswith(STORE))):
            seen += 1
            if seen == place:
                raise fault  # a new one each time

    sys.setprofile(profile)
    try:
        return gate.check(raw, PEER), seen
    finally:
        sys.setprofile(None)


@pytest.mark.parametrize("fault", [ValueError, MemoryError, RecursionError, InvalidToken])
def test_whatever_fails_wherever_nothing_passes(asking: Asked, fault: type[Exception]) -> None:
    for raw in _questions(asking):
        asking.ask(raw)  # what is remembered from now on is not looked up again
        _, calls = _with_fault(raw, asking.gate, 0, fault)
        assert calls > 20
        for place in range(1, calls + 1):
            answer, reached = _with_fault(raw, asking.gate, place, fault)
            assert reached == place
            said = verdict(answer)
            assert (said.passes, said.status >= 400, bool(said.body)) == (False, True, True), place


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:127.0.0.1:5000", "127.0.0.1"),
        ("ipv6:%5B::1%5D:5000", "::1"),
        ("ipv6:[2001:db8::1]:5000", "2001:db8::1"),
        ("unix:/run/socket", ""),
        ("unix:", ""),
        ("", ""),
    ],
)
def test_a_peer_is_known_by_its_address(peer: str, address: str) -> None:
    assert envoy.address_of(peer) == address


def test_every_status_that_an_error_has_is_one_that_envoy_takes() -> None:
    from envoy.type.v3.http_status_pb2 import StatusCode  # type: ignore[import-untyped]  # xds-protos has no types

    assert {int(status) for status in STATUSES.values()} <= set(StatusCode.values())


def test_a_refusal_tells_nothing_of_what_went_wrong_inside(asking: Asked) -> None:
    class Inside(ValueError):
        def __str__(self) -> str:
            return "the inside"

    answer, _ = _with_fault(next(_questions(asking)), asking.gate, 3, Inside)
    assert (verdict(answer).status, b"nside" in answer) == (503, False)
