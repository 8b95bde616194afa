"""GitHub's reports, sent to a real server: what they end, what they never do, and what is answered."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from keyscope.derive import attenuate
from keyscope.model.event import EventKind
from keyscope.model.token import Kind, format_token
from tests.leaks.signing import PATH, TYPE, GitHub, Publisher, document, match
from tests.life.asking import done, fault, status, verb, view
from tests.life.test_delegation import events_of
from tests.live import Live, new_first_key

GITHUB = GitHub()


@pytest.fixture(scope="module")
def pinned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("keys") / "keys.json"
    file.write_bytes(GITHUB.published)
    return file


@pytest.fixture(scope="module")
def server(new_directory: Callable[[], Path], pinned: Path) -> Iterator[Live]:
    with Live(new_directory(), options=["--leaks-github-keys", str(pinned)]) as live:
        yield live


@pytest.fixture(scope="module")
def recorder(new_directory: Callable[[], Path], pinned: Path) -> Iterator[Live]:
    """A server that only records."""
    with Live(new_directory(), options=["--leaks-github-keys", str(pinned), "--leaks-revoke", "no"]) as live:
        yield live


def labels(response: httpx.Response) -> list[str]:
    return [row["label"] for row in rows(response)]


def rows(response: httpx.Response) -> list[dict[str, str]]:
    assert response.status_code == 200, response.text
    answered: list[dict[str, str]] = response.json()
    return answered


def reported(live: Live, key_id: str) -> list[dict[str, Any]]:
    account = done(live.call("GET", "/keyscope/me"))["account_id"]
    events = (stored.event for stored in events_of(live, account))
    return [event.changes for event in events if (event.kind, event.key_id) == (EventKind.KEY_LEAK_REPORTED, key_id)]


def test_a_leaked_key_and_what_it_minted_are_dead_when_the_report_is_answered(server: Live) -> None:
    key = server.mint("account:write", "devboxes:read")
    child = server.mint("devboxes:read", by=key["key_secret"])
    answered = GITHUB.report(server, match(key["key_secret"]), match("rk_junk"))
    assert answered.headers["content-type"] == "application/json"
    assert answered.json() == [
        {"token_hash": sha256(text.encode()).hexdigest(), "token_type": TYPE, "label": label}
        for text, label in ((key["key_secret"], "true_positive"), ("rk_junk", "false_positive"))
    ]
    assert [status(server, secret["key_secret"]) for secret in (key, child)] == [401, 401]
    seen = view(server, key["id"])
    assert (seen["status"], seen["revoked_reason"]) == ("revoked", "leaked")
    assert seen["leaked_at_ms"] == seen["revoked_at_ms"]
    [said] = reported(server, key["id"])
    assert said == {"source": "github", "where": match("")["url"], "ended": "key"}


def test_keys_of_several_accounts_die_by_one_report(server: Live) -> None:
    """A second account is made in the store, as no call makes one yet."""
    from keyscope.authority.ports import Account
    from keyscope.model.key import Key
    from keyscope.store.open import open_store

    secret = format_token(Kind.STANDARD, sha256(b"another account").digest())
    other = Key(
        id="key_other", account_id="acc_other", kind=Kind.STANDARD, name="other", digest=secret.digest,
        hint=secret.hint, scopes=(), created_at_ms=1,
    )  # fmt: skip
    store = open_store(f"sqlite:///{server.database}")
    store.write(lambda writer: writer.add_account(Account("acc_other", "other", 1)))
    store.write(lambda writer: writer.add_key(other))
    store.close()
    own = server.mint()
    texts = [own["key_secret"], secret.reveal()]
    assert [status(server, text) for text in texts] == [200, 200]
    assert labels(GITHUB.report(server, *map(match, texts))) == ["true_positive"] * 2
    assert [status(server, text) for text in texts] == [401, 401]


def test_of_a_rotated_key_only_the_secret_that_leaked_ends(server: Live) -> None:
    key = server.mint("devboxes:read")
    renewed = done(verb(server, key["id"], "rotate", overlap_ms=600_000))
    assert status(server, key["key_secret"]) == 200
    assert labels(GITHUB.report(server, match(key["key_secret"]))) == ["true_positive"]
    assert status(server, key["key_secret"]) == 401
    assert status(server, renewed["key_secret"]) == 200
    assert [event["ended"] for event in reported(server, key["id"])] == ["earlier_secret"]
    assert view(server, key["id"])["status"] == "active"


def test_a_secret_that_was_rotated_out_ends_nothing_when_it_leaks(server: Live) -> None:
    key = server.mint("devboxes:read")
    renewed = done(verb(server, key["id"], "rotate"))
    assert labels(GITHUB.report(server, match(key["key_secret"]))) == ["true_positive"]
    assert status(server, renewed["key_secret"]) == 200
    assert [event["ended"] for event in reported(server, key["id"])] == [None]


def test_a_leaked_derived_key_ends_alone(server: Live) -> None:
    key = server.mint("devboxes:read")
    derived = attenuate(key["key_secret"], label="one")
    below, beside = attenuate(derived), attenuate(key["key_secret"], label="two")
    assert labels(GITHUB.report(server, match(derived))) == ["true_positive"]
    assert [status(server, text) for text in (derived, below)] == [401, 401]
    assert [status(server, text) for text in (beside, key["key_secret"])] == [200, 200]
    assert [event["ended"] for event in reported(server, key["id"])] == ["derived_key"]
    forged = derived[:-6]
    assert labels(GITHUB.report(server, match(forged))) == ["false_positive"]


def test_suspended_keys_die_and_expired_ones_stay_as_they_are(server: Live) -> None:
    suspended, expired = server.mint(), server.mint(expires_at_ms=time.time_ns() // 1_000_000 + 300)
    verb(server, suspended["id"], "suspend")
    while status(server, expired["key_secret"]) == 200:
        time.sleep(0.05)
    assert (
        labels(GITHUB.report(server, match(suspended["key_secret"]), match(expired["key_secret"])))
        == ["true_positive"] * 2
    )
    assert view(server, suspended["id"])["status"] == "revoked"
    assert view(server, expired["id"])["status"] == "expired"


def test_a_replay_changes_nothing_and_is_answered_as_the_first_time(server: Live) -> None:
    key, fresh = server.mint(), format_token(Kind.RESTRICTED, sha256(b"nobody's").digest()).reveal()
    body = json.dumps([match(key["key_secret"]), match(fresh)]).encode()
    headers = GITHUB.headers(body)
    first = server.call("POST", PATH, "", content=body, headers=headers)
    before = view(server, key["id"])
    again = [server.call("POST", PATH, "", content=body, headers=headers) for _ in range(3)]
    assert [answered.content for answered in again] == [first.content] * 3
    assert view(server, key["id"]) == before
    assert len(reported(server, key["id"])) == 1


def test_a_replay_does_not_end_what_its_owner_brought_back(server: Live) -> None:
    key = server.mint()
    first = GITHUB.report(server, match(key["key_secret"]))
    done(verb(server, key["id"], "undelete"))
    assert GITHUB.report(server, match(key["key_secret"], url="https://example.com/again")).content == first.content
    assert status(server, key["key_secret"]) == 200
    assert view(server, key["id"])["leaked_at_ms"] is not None


def test_the_answer_says_nothing_about_whether_a_key_lives(server: Live) -> None:
    """Whoever kept a signed body and sends it again learns what GitHub was told, and nothing of how things are now."""
    live, revoked, suspended = server.mint(), server.mint(), server.mint()
    server.revoke(revoked["id"])
    verb(server, suspended["id"], "suspend")
    said = rows(GITHUB.report(server, *(match(key["key_secret"]) for key in (live, revoked, suspended))))
    assert {(row["token_type"], row["label"]) for row in said} == {(TYPE, "true_positive")}
    assert {frozenset(row) for row in said} == {frozenset({"token_hash", "token_type", "label"})}


def test_reports_are_only_recorded_where_the_setting_says_so(recorder: Live) -> None:
    key = recorder.mint()
    for _ in range(3):
        assert labels(GITHUB.report(recorder, match(key["key_secret"]))) == ["true_positive"]
    seen = view(recorder, key["id"])
    assert (seen["status"], seen["leaked_at_ms"] is not None) == ("active", True)
    assert [event["ended"] for event in reported(recorder, key["id"])] == [None]


def test_a_key_in_the_address_of_a_report_is_not_recorded(server: Live) -> None:
    key, other = server.mint(), server.mint()
    GITHUB.report(server, match(key["key_secret"], url=f"https://example.com/{other['key_secret']}"))
    [said] = reported(server, key["id"])
    assert other["key_secret"] not in str(said)
    assert said["where"] == f"https://example.com/rk_…{other['key_secret'][-4:]}"
    assert status(server, other["key_secret"]) == 200


def test_what_is_not_signed_by_github_ends_nothing(server: Live) -> None:
    key = server.mint()
    body = json.dumps([match(key["key_secret"])]).encode()
    good, stranger = GITHUB.headers(body), GitHub()
    wrong = {
        "no headers": {},
        "another key": stranger.headers(body),
        "another body": GITHUB.headers(body + b" "),
        "another identifier": {**good, "Github-Public-Key-Identifier": "two"},
        "no identifier": {"Github-Public-Key-Signature": good["Github-Public-Key-Signature"]},
        "not base64": {**good, "Github-Public-Key-Signature": "%%%"},
        "a key instead": {"Authorization": f"Bearer {server.first}"},
    }
    answers = [server.call("POST", PATH, "", content=body, headers=headers) for headers in wrong.values()]
    assert {fault(answered, 400, "invalid_signature") for answered in answers} == {answers[0].json()["message"]}
    assert status(server, key["key_secret"]) == 200


def test_two_signatures_in_one_request_are_refused(server: Live) -> None:
    key = server.mint()
    body = json.dumps([match(key["key_secret"])]).encode()
    headers = [*GITHUB.headers(body).items(), ("Github-Public-Key-Identifier", GITHUB.identifier)]
    answered = server.http.post(PATH, content=body, headers=headers)
    fault(answered, 400, "invalid_signature")
    assert status(server, key["key_secret"]) == 200


@pytest.mark.parametrize("body", [b"{}", b"[1]", b'[{"token":1}]', b"[", b"", b"\xff"])
def test_a_signed_body_that_is_no_report_is_refused(server: Live, body: bytes) -> None:
    fault(server.call("POST", PATH, "", content=body, headers=GITHUB.headers(body)), 400, "invalid_request")


def test_an_empty_report_is_answered_with_an_empty_list(server: Live) -> None:
    assert GITHUB.report(server).json() == []


def test_a_body_over_the_limit_is_refused_before_it_is_read(server: Live) -> None:
    body = b"[" + b" " * (8 << 20) + b"]"
    assert server.call("POST", PATH, "", content=body, headers=GITHUB.headers(body)).status_code == 413


def test_ten_thousand_rows_are_taken_while_the_gate_answers(server: Live) -> None:
    """Half of them keys of ours. The time is bounded far below the 30 s after which GitHub gives up."""
    with ThreadPoolExecutor(4) as pool:
        keys = list(pool.map(lambda n: server.mint(name=f"leaky-{n}"), range(200)))
    own = [key["key_secret"] for key in keys]
    own += [attenuate(own[n % 100], label=f"{n}") for n in range(4800)]
    junk = [format_token(Kind.RESTRICTED, sha256(b"%d" % n).digest()).reveal() for n in range(5000)]
    matches = [match(text) for pair in zip(own, junk, strict=True) for text in pair]
    watcher = server.mint()
    with ThreadPoolExecutor(1) as pool:
        begun = time.monotonic()
        report = pool.submit(GITHUB.report, server, *matches)
        slowest = 0.0
        while not report.done():
            asked = time.monotonic()
            assert status(server, watcher["key_secret"]) == 200
            slowest = max(slowest, time.monotonic() - asked)
        took = time.monotonic() - begun
    assert labels(report.result()) == ["true_positive", "false_positive"] * 5000
    assert [status(server, text) for text in own[:20] + own[-20:]] == [401] * 40
    assert took < 20
    assert slowest < 5


def test_the_receiver_is_off_unless_a_setting_says_so(live: Live) -> None:
    key = live.mint()
    fault(GITHUB.report(live, match(key["key_secret"])), 404, "not_found")
    assert status(live, key["key_secret"]) == 200


@pytest.mark.parametrize("setting", ["http://keys.example.com/", "ftp://x/", "https://user@x/", "/nowhere/keys.json"])
def test_a_source_of_keys_that_cannot_be_used_stops_the_start(tmp_path: Path, setting: str) -> None:
    from tests.cli.run import keyscope

    stopped = keyscope("serve", "--port", "1", "--leaks-github-keys", setting, cwd=tmp_path)
    assert stopped.returncode == 2
    assert "leaks-github-keys" in stopped.stderr


def test_published_keys_are_used_and_a_publisher_that_hangs_or_redirects_closes_the_receiver(
    new_directory: Callable[[], Path], tmp_path: Path
) -> None:
    with Publisher(tmp_path, document(b"", 302, location="https://127.0.0.1:1/")) as publisher:
        environment = {"SSL_CERT_FILE": str(publisher.authority), "KEYSCOPE_LEAKS_GITHUB_KEYS": publisher.url}
        with Live(new_directory(), environment=environment) as server:
            key = server.mint()
            for _ in range(2):
                refused = GITHUB.report(server, match(key["key_secret"]))
                fault(refused, 503, "signing_keys_unavailable")
                assert refused.headers["retry-after"] == "1"
            assert (publisher.asked, status(server, key["key_secret"])) == (1, 200)
            server.stop()
            publisher.answer = document(GITHUB.published)
            server.start()
            assert labels(GITHUB.report(server, match(key["key_secret"]))) == ["true_positive"]
            assert status(server, key["key_secret"]) == 401
            server.stop()
            publisher.answer = lambda _: time.sleep(30)
            server.start()
            begun = time.monotonic()
            fault(GITHUB.report(server, match(new_first_key())), 503, "signing_keys_unavailable")
            assert time.monotonic() - begun < 25
            assert server.call("GET", "/keyscope/me").status_code == 200
