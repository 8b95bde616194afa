"""What is told of keys by a real server to a real receiver, checked with Standard Webhooks' own library."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from tests.live import Live
from tests.webhooks.receiver import Receiver, add, until


def test_a_minted_key_is_told_signed_and_without_a_secret(telling: Live, receiver: Receiver) -> None:
    secret = add(telling, receiver.url, "key.minted")["secret"]
    key = telling.mint("devboxes:read", name="told")
    until(lambda: receiver.told)
    [told] = receiver.told
    message = told.verified(secret)
    assert message["type"] == "key.minted"
    assert message["data"]["key_id"] == key["id"]
    assert message["data"]["key_name"] == "told"
    assert key["key_secret"].encode() not in told.body
    assert told.headers["content-type"] == "application/json"
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + "A" * 43 + "=").verify(told.body, told.headers)


def test_the_whole_life_of_a_key_is_told_once_each(telling: Live, receiver: Receiver) -> None:
    add(telling, receiver.url)
    ends_ms = int(time.time() * 1000) + 62_000
    expiring = telling.mint("devboxes:read", expires_at_ms=ends_ms)
    short = telling.mint("devboxes:read", expires_at_ms=int(time.time() * 1000) + 1500)
    key = telling.mint("devboxes:read")
    for _ in range(2):
        assert telling.call("GET", "/v1/devboxes", key["key_secret"]).status_code == 200
    until(lambda: receiver.of("key.first_used", key["id"]))
    telling.revoke(key["id"])
    until(lambda: receiver.of("key.revoked", key["id"]))
    assert telling.call("GET", "/v1/devboxes", key["key_secret"]).status_code == 401
    until(lambda: receiver.of("key.dead_used", key["id"]))
    until(lambda: receiver.of("key.expired", short["id"]))
    until(lambda: receiver.of("key.expiring", expiring["id"]))
    kinds = [told.message["type"] for told in receiver.told if told.message["data"]["key_id"] == key["id"]]
    assert kinds == ["key.minted", "key.first_used", "key.revoked", "key.dead_used"]
    ids = [told.id for told in receiver.told]
    assert ids == sorted(set(ids))


def test_what_fails_is_tried_again_with_the_same_id_and_a_good_signature(telling: Live, receiver: Receiver) -> None:
    secret = add(telling, receiver.url, "key.minted")["secret"]
    receiver.answers += [(500, {}), (503, {})]
    telling.mint("devboxes:read")
    until(lambda: len(receiver.told) == 3)
    assert len({told.id for told in receiver.told}) == 1
    assert all(told.verified(secret)["type"] == "key.minted" for told in receiver.told)


def test_retry_after_is_honoured(telling: Live, receiver: Receiver) -> None:
    add(telling, receiver.url, "key.minted")
    receiver.answers.append((429, {"retry-after": "2"}))
    telling.mint("devboxes:read")
    until(lambda: len(receiver.told) == 2)
    first, second = receiver.told
    assert second.at_s - first.at_s >= 2


def test_a_redirect_is_not_followed(telling: Live, receiver: Receiver) -> None:
    with Receiver() as elsewhere:
        added = add(telling, receiver.url, "key.minted")
        receiver.answers += [(307, {"location": elsewhere.url})] * 3
        telling.mint("devboxes:read")
        until(lambda: dead(telling, added["id"]))
        assert elsewhere.told == []
        assert dead(telling, added["id"])[0]["outcome"] == "answered 307"


def dead(live: Live, webhook_id: str) -> list[dict[str, object]]:
    found = live.call("GET", "/keyscope/webhooks/dead").json()["dead"]
    return [one for one in found if one["webhook_id"] == webhook_id]


def test_what_is_given_up_is_listed_and_can_be_tried_again(telling: Live, receiver: Receiver) -> None:
    added = add(telling, receiver.url, "key.minted")
    receiver.answers += [(500, {})] * 3
    telling.mint("devboxes:read")
    until(lambda: dead(telling, added["id"]))
    [given_up] = dead(telling, added["id"])
    assert (given_up["kind"], given_up["tries"], given_up["outcome"]) == ("key.minted", 3, "answered 500")
    retried = telling.call("POST", f"/keyscope/webhooks/{added['id']}/retry")
    assert retried.json() == {"id": added["id"], "messages": 1}
    until(lambda: len(receiver.told) == 4)
    until(lambda: not dead(telling, added["id"]))
    assert {told.id for told in receiver.told} == {given_up["message_id"]}


def test_who_is_gone_is_not_tried_again(telling: Live, receiver: Receiver) -> None:
    added = add(telling, receiver.url, "key.minted")
    receiver.answers.append((410, {}))
    telling.mint("devboxes:read")
    until(lambda: dead(telling, added["id"]))
    assert len(receiver.told) == 1


def test_one_that_hangs_holds_up_nobody_else(telling: Live, receiver: Receiver) -> None:
    with Receiver() as hanging:
        hanging.hold.clear()
        add(telling, hanging.url, "key.minted")
        add(telling, receiver.url, "key.minted")
        for number in range(3):
            telling.mint("devboxes:read")
            until(lambda number=number: len(receiver.told) == number + 1, seconds=8)  # type: ignore[misc]
        assert len(hanging.told) == 1


def test_only_kinds_that_were_asked_for_and_only_from_then_on(telling: Live, receiver: Receiver) -> None:
    before = telling.mint("devboxes:read")
    added = add(telling, receiver.url, "key.revoked")
    key = telling.mint("devboxes:read")
    telling.revoke(key["id"])
    telling.revoke(before["id"])
    until(lambda: len(receiver.told) == 2)
    assert [told.message["data"]["key_id"] for told in receiver.told] == [key["id"], before["id"]]
    assert telling.call("POST", f"/keyscope/webhooks/{added['id']}/remove").json() == {"id": added["id"]}
    telling.revoke(telling.mint("devboxes:read")["id"])
    with Receiver() as later:
        add(telling, later.url, "key.revoked")
        telling.revoke(telling.mint("devboxes:read")["id"])
        until(lambda: later.told)
    assert len(receiver.told) == 2


def test_only_standard_keys_manage_webhooks_and_the_secret_is_shown_once(telling: Live, receiver: Receiver) -> None:
    added = add(telling, receiver.url, "key.minted")
    writer = telling.mint("account:write")["key_secret"]
    asked = [("GET", ""), ("GET", "/dead"), ("POST", f"/{added['id']}/remove"), ("POST", f"/{added['id']}/retry")]
    for method, below in asked:
        assert telling.call(method, f"/keyscope/webhooks{below}", writer).status_code == 403
    refused = telling.call("POST", "/keyscope/webhooks", writer, json={"url": receiver.url})
    assert refused.json()["code"] == "standard_key_required"
    listed = telling.call("GET", "/keyscope/webhooks").text
    assert added["id"] in listed
    assert added["secret"] not in listed
    assert telling.call("POST", "/keyscope/webhooks/whk_none/remove").status_code == 404
    files = [path.read_bytes() for path in telling.directory.iterdir() if path.is_file()]
    assert not any(added["secret"].encode() in content for content in files)


def test_changes_to_webhooks_are_in_the_record_without_what_follows_the_host(telling: Live, receiver: Receiver) -> None:
    added = add(telling, f"{receiver.url}?token=hidden", "key.minted")
    trail = telling.directory / "keyscope.db.audit"

    def recorded() -> bool:
        found = telling.call("GET", "/keyscope/audit", params={"kind": "webhook.added"})
        return found.status_code == 404 or added["id"] in found.text

    until(recorded)
    files = [path.read_bytes() for path in telling.directory.glob("keyscope.db.audit*")]
    assert trail.exists()
    assert not any(b"token=hidden" in content for content in files)


def test_a_kill_loses_no_message(new_directory: Callable[[], Path], receiver: Receiver) -> None:
    options = ["--webhook-targets", "private", "--webhook-wait-s", "0.1", "--webhook-tries", "20"]
    live = Live(new_directory(), options=options)
    with live:
        add(live, receiver.url, "key.minted")
        receiver.hold.clear()
        keys = {live.mint("devboxes:read")["id"] for _ in range(5)}
        until(lambda: receiver.told)  # one is on its way at this moment
        live.kill()
        receiver.hold.set()
        live.start()
        keys |= {live.mint("devboxes:read")["id"] for _ in range(2)}
        until(lambda: {told.message["data"]["key_id"] for told in receiver.told} == keys)
    ids = {told.id: told.message["data"]["key_id"] for told in receiver.told}
    assert len(ids) == len(keys), "the same message has the same id"


def test_of_several_workers_one_delivers(new_directory: Callable[[], Path], receiver: Receiver) -> None:
    options = ["--webhook-targets", "private", "--workers", "2"]
    with Live(new_directory(), options=options) as live:
        add(live, receiver.url, "key.minted")
        keys = [live.mint("devboxes:read")["id"] for _ in range(20)]
        until(lambda: len(receiver.told) >= len(keys))
        add(live, receiver.url, "key.revoked")
        live.revoke(keys[0])
        until(lambda: receiver.of("key.revoked"))
    assert [told.message["data"]["key_id"] for told in receiver.of("key.minted")] == keys


def test_a_held_call_is_told_from_its_beginning_to_its_end(telling: Live, receiver: Receiver) -> None:
    add(telling, receiver.url, "hold.created", "hold.approved", "hold.ended")
    key = telling.mint("devboxes:write", restrictions={"hold": {"deadline_ms": 3_600_000}})
    held = telling.call("POST", "/v1/devboxes/dbx_1/shutdown", key["key_secret"]).json()
    telling.call("POST", f"/keyscope/holds/{held['id']}/approve", json={})
    until(lambda: receiver.of("hold.ended", key["id"]))
    told = [told.message for told in receiver.told]
    assert [message["type"] for message in told] == ["hold.created", "hold.approved", "hold.ended"]
    assert {message["data"]["hold_id"] for message in told} == {held["id"]}
    assert (told[0]["data"]["operation"], told[2]["data"]["status"]) == ("shutdownDevbox", 200)
