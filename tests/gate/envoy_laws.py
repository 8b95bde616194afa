"""What must hold of every answer to Envoy, as functions: the sound build keeps them, each broken one breaks some."""

from __future__ import annotations

import json
from ipaddress import ip_network
from typing import Any

import pytest

from keyscope.authority.bootstrap import bootstrap
from keyscope.authority.mint import Minted, Minting, Wanted
from keyscope.authority.verify import Verifier
from keyscope.errors import StoreUnavailable
from keyscope.gate import envoy
from keyscope.gate.peers import TrustedPeers
from keyscope.model.event import Origin
from keyscope.model.scope import Scope
from keyscope.model.token import Kind
from keyscope.policy.document import load
from keyscope.store.open import open_store
from tests.gate.questions import (
    CheckResponse,
    Fields,
    HeaderValueOption,
    Verdict,
    asked,
    fields,
    question,
    shown,
    verdict,
)
from tests.laws.seams import HandClock, SeededEntropy

PEER = "ipv4:127.0.0.1:50000"
STRANGER = "ipv4:192.0.2.1:50000"
MAX_BODY_BYTES = 4096
TABLE = load("runloop").table()
JUDGED = "/v1/devboxes"


class Asked:
    """A gate over a store in memory, and keys for it."""

    def __init__(self) -> None:
        clock, entropy = HandClock(), SeededEntropy()
        self.store = store = open_store("memory://")
        first = bootstrap(store, clock, entropy)
        assert first is not None
        self._minting = Minting(store, clock, entropy)
        self.verifier = Verifier(store.open_index(), TABLE, clock, set())
        peers = TrustedPeers((ip_network("127.0.0.0/8"),))
        self.gate = envoy.EnvoyGate(self.verifier, peers, max_header_bytes=16384, max_body_bytes=MAX_BODY_BYTES)
        self.standard = first.secret.reveal()
        self.writer = self._mint("devboxes:write")
        self.reader = self._mint("devboxes:read")

    def _mint(self, *scopes: str) -> str:
        made: list[Minted] = []

        def note(minted: Minted) -> bytes:
            made.append(minted)
            return b""

        wanted = Wanted(kind=Kind.RESTRICTED, scopes=tuple(map(Scope.parse, scopes)))
        self._minting.mint(self.verifier.find(self.standard.encode()), wanted, Origin(), note)
        return made[0].secret.reveal()

    def ask(self, raw: bytes, peer: str = PEER) -> Verdict:
        return verdict(self.gate.check(raw, peer))

    def call(self, method: str, path: str, key: str | None, more: Fields | None = None, body: bytes = b"") -> Verdict:
        return self.ask(question(method, path, key, more, body))


def code(said: Verdict) -> str:
    """The error's code; empty if there is no body."""
    return str(json.loads(said.body)["code"]) if said.body else ""


def an_allowed_call_passes_and_says_who_calls(asking: Asked) -> None:
    said = asking.call("GET", "/v1/devboxes?limit=1", asking.reader)
    assert said.passes
    assert said.headers["x-keyscope-key-id"].startswith("key_")
    assert said.headers["x-keyscope-account-id"].startswith("acct_")
    assert said.removed == ["authorization"]


def who_calls_is_written_over_what_the_caller_says(asking: Asked) -> None:
    answer = asking.gate.check(question("GET", "/v1/devboxes", asking.reader), PEER)
    response: Any = CheckResponse.FromString(answer)
    actions = {(option.append_action, option.append.value) for option in response.ok_response.headers}
    assert actions == {(HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD, False)}


def what_the_key_does_not_cover_is_refused(asking: Asked) -> None:
    for method, path, key, status in [
        ("GET", "/v1/devboxes", None, 401),
        ("GET", "/v1/devboxes", asking.reader[:-1], 401),
        ("GET", "/v1/blueprints", asking.reader, 403),
        ("POST", "/v1/devboxes/dbx_1/shutdown", asking.reader, 403),
        ("GET", "/v1/nowhere", asking.reader, 403),
        ("TRACE", "/v1/devboxes", asking.standard, 501),
        ("GET", "/v1/devboxes/%2e%2e/x", asking.standard, 400),
        ("GET", "/v1//devboxes", asking.standard, 400),
        ("GET", "", asking.standard, 400),
        ("GET", "/" + "x" * 9000, asking.standard, 414),
    ]:
        said = asking.call(method, path, key)
        assert (said.passes, said.status) == (False, status), (method, path)
        assert json.loads(said.body)["status"] == status


def a_path_of_keyscopes_own_is_never_sent_on(asking: Asked) -> None:
    for path in ("/v1/apikeys", "/v1/restricted_keys/key_1/rotate", "/keyscope/me"):
        for key in (asking.standard, asking.writer):
            said = asking.call("POST", path, key)
            assert (said.passes, said.status, code(said)) == (False, 403, "own_operation")


def two_credentials_are_none(asking: Asked) -> None:
    headers = fields("GET", "/v1/devboxes", asking.reader, [("authorization", f"Bearer {asking.standard}".encode())])
    joined = [*headers[:3], ("authorization", b",".join(value for _, value in headers[3:]))]
    for raw, lines in ((True, headers), (False, headers), (True, joined)):
        said = asking.ask(asked("GET", "/v1/devboxes", lines, raw=raw).SerializeToString())
        assert (said.passes, said.status, code(said)) == (False, 400, "repeated_credential")


def a_body_that_is_shown_is_judged(asking: Asked) -> None:
    for body, status in [
        (b'{"name": "x"}', 200),
        (b'{"blueprint_id": null}', 200),
        (b'{"blueprint_id": "bpt_1"}', 403),
        (b'{"blueprint_id": null, "blueprint_id": "bpt_1"}', 400),
        (b'{"name": NaN}', 400),
        (b"name=x", 400),
        (b'{"name": "' + b"x" * MAX_BODY_BYTES + b'"}', 413),
    ]:
        assert asking.call("POST", JUDGED, asking.writer, shown(body), body).status == status, body
        chunked = [field for field in shown(body) if field[0] != "content-length"]
        assert asking.call("POST", JUDGED, asking.writer, chunked, body).status == status, body


def a_body_that_is_not_plain_json_is_refused(asking: Asked) -> None:
    body = b'{"name": "x"}'
    for headers in (
        [],
        [("content-type", b"text/plain")],
        [("content-type", b"application/json,text/plain")],
        [("content-type", b"application/json"), ("content-encoding", b"gzip")],
    ):
        said = asking.call("POST", JUDGED, asking.writer, [*shown(body)[1:], *headers], body)
        assert (said.passes, said.status) == (False, 415)


def a_body_that_is_not_shown_whole_needs_the_scopes_of_every_condition(asking: Asked) -> None:
    body = b'{"name": "x"}'
    kind, length, mark = shown(body)
    for headers, part in (
        ([kind, length], b""),
        ([kind, length], body),
        ([kind, length, (mark[0], b"true")], body),
        ([kind, length, mark, mark], body),
        ([kind, length, (mark[0], b"false,true")], body),
        ([kind, length, mark], b""),
        ([kind, length, mark], body[:-1]),
        ([kind, ("content-length", b"0"), mark], body),
        ([kind, length, mark, ("upgrade", b"websocket")], body),
        ([kind, ("content-length", b"0"), ("upgrade", b"websocket")], b""),
        ([kind], b""),
    ):
        said = asking.call("POST", JUDGED, asking.writer, headers, part)
        assert (said.passes, said.status) == (False, 403), (headers, part)
        assert "agents:read" in json.loads(said.body)["missing_scopes"]
        assert asking.call("POST", JUDGED, asking.standard, headers, part).passes


def a_body_as_text_counts_as_not_shown(asking: Asked) -> None:
    body = b'{"name": "x"}'
    made: Any = asked("POST", JUDGED, fields("POST", JUDGED, asking.writer, shown(body)))
    made.attributes.request.http.body = body.decode()
    assert asking.ask(made.SerializeToString()).status == 403


def a_call_without_a_body_needs_the_scopes_of_none(asking: Asked) -> None:
    assert asking.call("POST", JUDGED, asking.writer, [("content-length", b"0")]).passes


def a_path_that_was_not_shown_byte_for_byte_is_refused(asking: Asked) -> None:
    for raw_path in (b"/v1/devboxes/\xff", b"/v1/blueprints"):
        headers = [(name, raw_path if name == ":path" else value) for name, value in fields("GET", "", asking.standard)]
        said = asking.ask(asked("GET", "/v1/devboxes/!", headers).SerializeToString())
        assert (said.passes, code(said)) == (False, "invalid_target")
    joined = fields("GET", "/v1/devboxes/!", asking.standard)
    assert not asking.ask(asked("GET", "/v1/devboxes/!", joined, raw=False).SerializeToString()).passes


def joined_lines_are_judged_too(asking: Asked) -> None:
    headers = fields("GET", "/v1/devboxes", asking.reader)
    assert asking.ask(asked("GET", "/v1/devboxes", headers, raw=False).SerializeToString()).passes
    body = b'{"blueprint_id": "bpt_1"}'
    headers = fields("POST", JUDGED, asking.writer, shown(body))
    assert asking.ask(asked("POST", JUDGED, headers, body, raw=False).SerializeToString()).status == 403


def only_the_peers_of_the_settings_are_believed(asking: Asked) -> None:
    asked_well = question("GET", "/v1/devboxes", asking.standard)
    for peer in (STRANGER, "ipv6:%5B2001:db8::1%5D:1", "unix:/tmp/socket", ""):
        said = asking.ask(asked_well, peer)
        assert (said.passes, said.status, code(said)) == (False, 403, "peer_not_trusted")


def trouble_is_a_denial_with_503(asking: Asked) -> None:
    asking.verifier.closed = StoreUnavailable("the disk is gone")
    try:
        said = asking.call("GET", "/v1/devboxes", asking.standard)
    finally:
        asking.verifier.closed = None
    assert (said.passes, said.status, code(said)) == (False, 503, "store_unavailable")
    assert said.headers["retry-after"] == "1"
    for junk in (b"\xff", b"\x0a\xff\xff", b"no question"):
        said = asking.ask(junk)
        assert (said.passes, said.status, code(said)) == (False, 503, "unavailable")


def a_fault_of_ours_is_a_denial_with_503(asking: Asked) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asking.verifier, "decide", None)
        said = asking.call("GET", "/v1/devboxes", asking.standard)
    assert (said.passes, said.status, code(said)) == (False, 503, "unavailable")


def nothing_in_a_question_counts_as_nothing(asking: Asked) -> None:
    said = asking.ask(b"")
    assert (said.passes, said.status >= 400) == (False, True)


LAWS = (
    an_allowed_call_passes_and_says_who_calls,
    who_calls_is_written_over_what_the_caller_says,
    what_the_key_does_not_cover_is_refused,
    a_path_of_keyscopes_own_is_never_sent_on,
    two_credentials_are_none,
    a_body_that_is_shown_is_judged,
    a_body_that_is_not_plain_json_is_refused,
    a_body_that_is_not_shown_whole_needs_the_scopes_of_every_condition,
    a_body_as_text_counts_as_not_shown,
    a_call_without_a_body_needs_the_scopes_of_none,
    a_path_that_was_not_shown_byte_for_byte_is_refused,
    joined_lines_are_judged_too,
    only_the_peers_of_the_settings_are_believed,
    trouble_is_a_denial_with_503,
    a_fault_of_ours_is_a_denial_with_503,
    nothing_in_a_question_counts_as_nothing,
)
