"""A call that is held reaches the API once somebody has approved it, exactly as it was made, and only once."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from runloop_api_client import Runloop

from tests.gate.raw import Raw, request_head
from tests.holds.asking import ASK, HOLDS, SHUTDOWN, decide, ended, held, holding, look, until
from tests.life.asking import status, verb
from tests.live import Live, free_port
from tests.recorder import Recorder, Reply

pytestmark = pytest.mark.usefixtures("quiet")


@pytest.fixture
def quiet(upstream: Recorder) -> Any:
    upstream.take()
    yield
    upstream.respond = lambda _: Reply()


def test_an_approved_call_is_sent_once_and_its_answer_is_kept_for_the_caller(live: Live, upstream: Recorder) -> None:
    key = holding(live)
    upstream.respond = lambda _: Reply(body=b'{"id":"dbx_1","status":"shutdown"}')
    body, headers = b'{"force": true, "why": "\xc3\xbc"}', {"x-request-id": "run-7", "content-type": "application/json"}
    view = held(live.call("POST", f"{SHUTDOWN}?x=1&y=%20", key["key_secret"], content=body, headers=headers))
    assert (view["status"], view["path"], view["operation"]) == ("held", f"{SHUTDOWN}?x=1&y=%20", "shutdownDevbox")
    assert upstream.take() == []
    assert decide(live, view["id"], "approve", digest=view["digest"], reason="go on").status_code == 200
    seen = ended(live, view["id"])
    assert (seen["status"], seen["answer_status"], seen["reason"]) == ("done", 200, "go on")
    assert json.loads(look(live, view["id"], key["key_secret"])["answer"]["body"])["status"] == "shutdown"
    [sent] = upstream.take()
    assert (sent.method, sent.target, sent.body) == ("POST", f"{SHUTDOWN}?x=1&y=%20", body)
    assert (sent.header("x-request-id"), sent.header("content-type")) == ("run-7", "application/json")
    assert sent.header("authorization") == "Bearer ak_upstream_key_of_the_tests"
    assert sent.header("x-keyscope-key-id") == key["id"]


def test_who_asks_is_told_that_the_call_would_be_held(live: Live) -> None:
    key = holding(live)
    asked = {"method": "POST", "path": SHUTDOWN}
    told = live.call("GET", "/keyscope/can", key["key_secret"], params=asked).json()
    assert (told["allowed"], "held until somebody approves it" in told["message"]) == (True, True)


def test_a_held_call_is_counted_when_it_is_sent_and_its_place_is_free_again(live: Live) -> None:
    key = live.mint("devboxes:write", restrictions={"hold": ASK, "uses": 2, "parallel": 1})
    for name in ("dbx_1", "dbx_2", "dbx_3"):
        view = held(live.call("POST", f"/v1/devboxes/{name}/shutdown", key["key_secret"]))
        decide(live, view["id"], "approve")
        assert ended(live, view["id"])["status"] == ("denied" if name == "dbx_3" else "done")


def test_a_refused_call_never_reaches_the_api(live: Live, upstream: Recorder) -> None:
    key = holding(live)
    view = held(live.call("POST", SHUTDOWN, key["key_secret"]))
    assert decide(live, view["id"], "refuse", reason="not today").json()["status"] == "refused"
    refused = decide(live, view["id"], "approve")
    assert (refused.status_code, refused.json()["code"], refused.headers["x-should-retry"]) == (
        409,
        "hold_settled",
        "false",
    )
    assert (look(live, view["id"], key["key_secret"])["reason"], upstream.take()) == ("not today", [])


def test_only_what_ends_something_is_held_unless_operations_are_named(live: Live, upstream: Recorder) -> None:
    key = holding(live)
    assert live.call("GET", "/v1/devboxes/dbx_1", key["key_secret"]).status_code == 200
    assert live.call("POST", "/v1/devboxes/dbx_1/suspend", key["key_secret"]).status_code == 200
    named = holding(live, hold={**ASK, "operations": ["suspendDevbox"]})
    held(live.call("POST", "/v1/devboxes/dbx_1/suspend", named["key_secret"]))
    assert live.call("POST", SHUTDOWN, named["key_secret"]).status_code == 200
    assert [seen.target.rsplit("/", 1)[1] for seen in upstream.take()] == ["dbx_1", "suspend", "shutdown"]


def test_a_call_whose_body_is_judged_goes_on_as_it_was_judged(live: Live, upstream: Recorder) -> None:
    key = holding(live, hold={**ASK, "operations": ["createDevbox"]})
    lacking = live.call("POST", "/v1/devboxes", key["key_secret"], json={"blueprint_id": "bpt_1"})
    assert (lacking.status_code, lacking.json()["missing_scopes"]) == (403, ["blueprints:read"])
    twice = live.call(
        "POST", "/v1/devboxes", key["key_secret"], content=b'{"name":1,"name":2}',
        headers={"content-type": "application/json"},
    )  # fmt: skip
    assert twice.status_code == 400
    view = held(live.call("POST", "/v1/devboxes", key["key_secret"], json={"name": "n"}))
    decide(live, view["id"], "approve")
    assert ended(live, view["id"])["status"] == "done"
    assert [seen.body for seen in upstream.take()] == [b'{"name":"n"}']


def test_the_same_call_sent_again_is_the_same_hold(live: Live, upstream: Recorder) -> None:
    key = holding(live)
    headers = {"x-request-id": "again-1"}
    first = held(live.call("POST", SHUTDOWN, key["key_secret"], headers=headers))
    assert held(live.call("POST", SHUTDOWN, key["key_secret"], headers={"x-request-id": "2"}))["id"] == first["id"]
    decide(live, first["id"], "approve")
    ended(live, first["id"])
    repeated = held(live.call("POST", SHUTDOWN, key["key_secret"], headers=headers))
    assert (repeated["id"], repeated["status"]) == (first["id"], "done")
    assert held(live.call("POST", SHUTDOWN, key["key_secret"]))["id"] != first["id"]
    assert len(upstream.take()) == 1


def test_a_key_that_ended_meanwhile_makes_no_call(live: Live, upstream: Recorder) -> None:
    key = holding(live)
    view = held(live.call("POST", SHUTDOWN, key["key_secret"]))
    verb(live, key["id"], "revoke")
    decide(live, view["id"], "approve")
    assert (ended(live, view["id"])["status"], upstream.take()) == ("denied", [])


def test_a_key_that_lost_the_scope_meanwhile_makes_no_call(live: Live, upstream: Recorder) -> None:
    key = holding(live)
    view = held(live.call("POST", SHUTDOWN, key["key_secret"]))
    live.call("POST", f"/v1/restricted_keys/{key['id']}", json={"scopes": []})
    decide(live, view["id"], "approve")
    seen = ended(live, view["id"])
    assert (seen["status"], "devboxes:write" in seen["reason"], upstream.take()) == ("denied", True, [])


def test_a_child_is_held_by_its_parents_restrictions(live: Live, upstream: Recorder) -> None:
    parent = holding(live, "devboxes:write", "account:write")
    child = live.mint("devboxes:write", by=parent["key_secret"])
    view = held(live.call("POST", SHUTDOWN, child["key_secret"]))
    assert look(live, view["id"], parent["key_secret"])["key_id"] == child["id"]
    assert decide(live, view["id"], "refuse", parent["key_secret"]).json()["status"] == "cancelled"
    assert upstream.take() == []


def test_of_two_keys_that_hold_the_one_that_asks_wins_over_the_one_that_waits(live: Live) -> None:
    parent = holding(live, "devboxes:write", "account:write", hold={"delay_ms": 1})
    child = live.mint("devboxes:write", by=parent["key_secret"], restrictions={"hold": ASK})
    view = held(live.call("POST", SHUTDOWN, child["key_secret"]))
    assert (view["runs_at_ms"], view["deadline_ms"] is not None) == (None, True)


def test_a_delayed_call_goes_on_by_itself_unless_its_maker_cancels_it(live: Live, upstream: Recorder) -> None:
    soon, later = holding(live, hold={"delay_ms": 1}), holding(live, hold={"delay_ms": 3_600_000})
    view = held(live.call("POST", SHUTDOWN, later["key_secret"]))
    assert decide(live, view["id"], "approve", later["key_secret"]).status_code == 403
    assert decide(live, view["id"], "refuse", later["key_secret"], reason="my mistake").json()["status"] == "cancelled"
    assert ended(live, held(live.call("POST", SHUTDOWN, soon["key_secret"]))["id"])["status"] == "done"
    assert len(upstream.take()) == 1


def test_nobody_approves_in_time_and_the_call_is_refused(live: Live, upstream: Recorder) -> None:
    key = holding(live, hold={"deadline_ms": 1})
    view = held(live.call("POST", SHUTDOWN, key["key_secret"]))
    assert (ended(live, view["id"])["status"], upstream.take()) == ("expired", [])


def test_two_who_approve_at_once_send_it_once(live: Live, upstream: Recorder) -> None:
    key = holding(live)
    view = held(live.call("POST", SHUTDOWN, key["key_secret"]))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: decide(live, view["id"], "approve").status_code, range(16)))
    assert (set(answers), ended(live, view["id"])["status"], len(upstream.take())) == ({200}, "done", 1)


def test_other_keys_see_nothing_of_it(live: Live) -> None:
    key, other = holding(live), live.mint("devboxes:write")
    view = held(live.call("POST", SHUTDOWN, key["key_secret"]))
    for path, method in ((view["see"], "GET"), (f"{view['see']}/refuse", "POST")):
        assert live.call(method, path, other["key_secret"]).status_code == 404
    assert live.call("GET", HOLDS, other["key_secret"]).json()["holds"] == []
    assert [one["id"] for one in live.call("GET", HOLDS, key["key_secret"]).json()["holds"]] == [view["id"]]
    assert decide(live, view["id"], "approve", key["key_secret"]).json()["code"] == "standard_key_required"


def test_an_approval_is_for_the_call_that_was_read(live: Live) -> None:
    view = held(live.call("POST", SHUTDOWN, holding(live)["key_secret"]))
    assert decide(live, view["id"], "approve", digest="0" * 64).status_code == 400
    assert look(live, view["id"])["status"] == "held"


def test_as_many_are_held_as_somebody_can_read(live: Live) -> None:
    key = holding(live)
    for number in range(100):
        held(live.call("POST", f"/v1/devboxes/dbx_{number}/shutdown", key["key_secret"]))
    refused = live.call("POST", "/v1/devboxes/dbx_100/shutdown", key["key_secret"])
    assert (refused.status_code, refused.json()["code"]) == (403, "too_many_held")


def test_a_derived_key_is_held_as_what_it_is_and_ends_with_its_link(live: Live, upstream: Recorder) -> None:
    from keyscope import attenuate

    key = holding(live)
    derived, other = (attenuate(key["key_secret"], scopes=["devboxes:write"]) for _ in range(2))
    view = held(live.call("POST", SHUTDOWN, derived))
    assert (look(live, view["id"], derived)["derived_id"] is not None, status(live, other)) == (True, 200)
    assert live.call("GET", view["see"], other).status_code == 404
    live.call("POST", f"/v1/restricted_keys/{key['id']}/derived/{view['derived_id']}/revoke", json={})
    decide(live, view["id"], "approve")
    assert (ended(live, view["id"])["status"], upstream.take()) == ("denied", [])


def test_forward_auth_and_websockets_refuse_what_they_cannot_hold(live: Live) -> None:
    key = holding(live)
    headers = {"x-original-uri": SHUTDOWN, "x-original-method": "POST"}
    answer = live.call("GET", "/keyscope/authorize/nginx", key["key_secret"], headers=headers)
    assert (answer.status_code, "held" in answer.json()["message"]) == (403, True)
    own = holding(live, "account:write")
    answer = live.call("POST", f"/v1/restricted_keys/{own['id']}/revoke", own["key_secret"], json={})
    assert (answer.status_code, "held" in answer.json()["message"]) == (403, True)


def test_what_the_api_cannot_be_asked_is_said_to_have_failed(new_directory: Any) -> None:
    with Live(new_directory(), upstream=f"http://127.0.0.1:{free_port()}") as live:
        view = held(live.call("POST", SHUTDOWN, holding(live)["key_secret"]))
        decide(live, view["id"], "approve")
        assert ended(live, view["id"])["status"] == "failed"


def test_a_crash_while_it_is_sent_never_sends_it_again(new_directory: Any, upstream: Recorder) -> None:
    import asyncio

    async def never(*_: object) -> bool:
        await asyncio.sleep(3600)
        return True

    upstream.stream = never
    try:
        with Live(new_directory(), upstream=upstream.url) as live:
            view = held(live.call("POST", SHUTDOWN, holding(live)["key_secret"]))
            decide(live, view["id"], "approve")
            until(lambda: look(live, view["id"])["status"] == "running")
            live.kill()
            upstream.stream = None
            live.start()
            assert decide(live, view["id"], "approve").status_code == 200
            other = held(live.call("POST", "/v1/devboxes/dbx_2/shutdown", holding(live)["key_secret"]))
            decide(live, other["id"], "approve")
            assert ended(live, other["id"])["status"] == "done"
            assert look(live, view["id"])["status"] == "running"
            assert [seen.target for seen in upstream.take()] == ["/v1/devboxes/dbx_2/shutdown"]
    finally:
        upstream.stream = None


def test_an_approval_before_a_crash_is_carried_out_after_it(new_directory: Any, upstream: Recorder) -> None:
    with Live(new_directory(), upstream=upstream.url, options=["--workers", "2"]) as live:
        view = held(live.call("POST", SHUTDOWN, holding(live)["key_secret"]))
        decide(live, view["id"], "approve")
        live.stop()
        live.start()
        assert (ended(live, view["id"])["status"], len(upstream.take())) == ("done", 1)


def test_a_held_shutdown_ends_the_keys_of_its_devbox_when_it_is_sent(live: Live) -> None:
    key, bound = holding(live), live.mint("devboxes:read", run={"devbox_id": "dbx_1"})
    view = held(live.call("POST", SHUTDOWN, key["key_secret"]))
    assert status(live, bound["key_secret"]) == 200
    decide(live, view["id"], "approve")
    ended(live, view["id"])
    assert status(live, bound["key_secret"]) == 401


def test_runloops_own_client_hears_that_its_call_is_held(live: Live) -> None:
    agent = Runloop(base_url=live.url, bearer_token=holding(live)["key_secret"])
    answer = agent.devboxes.with_raw_response.shutdown("dbx_1")
    assert (answer.status_code, agent.devboxes.shutdown("dbx_1").status) == (202, "held")


def test_a_body_over_the_bound_is_not_held(new_directory: Any, upstream: Recorder) -> None:
    with Live(new_directory(), upstream=upstream.url, options=["--max-body-bytes", "1024"]) as live:
        key = holding(live)
        with Raw(live.port) as raw:
            raw.send(request_head("POST", SHUTDOWN, key["key_secret"], [("content-length", "1025")]))
            assert raw.head().status == 413


def test_the_whole_story_is_in_the_audit_trail(live: Live) -> None:
    key = holding(live)
    view = held(live.call("POST", SHUTDOWN, key["key_secret"]))
    decide(live, view["id"], "approve")
    ended(live, view["id"])

    def kinds() -> list[str]:
        page = live.call("GET", "/keyscope/audit", params={"key_id": key["id"], "verdict": "changed"}).json()
        return [entry["kind"] for entry in reversed(page["entries"])]

    until(lambda: "hold.ended" in kinds())
    assert kinds() == ["key.minted", "hold.created", "hold.approved", "hold.ended"]
