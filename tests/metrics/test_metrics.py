"""``GET /keyscope/metrics`` of a real server: what it counts, that workers add up, who may read it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.live import Live
from tests.metrics.reading import scraped, until, value, values
from tests.recorder import Recorder

OPERATION = "list_devboxes_v1_devboxes_get"


def allowed(operation: str) -> dict[str, str]:
    return {"operation": operation, "verdict": "allowed", "code": ""}


def refused(code: str, operation: str = "") -> dict[str, str]:
    return {"operation": operation, "verdict": "refused", "code": code}


def operation_of(live: Live, method: str, path: str) -> str:
    said = live.call("GET", "/keyscope/can", params={"method": method, "path": path}).json()
    return str(said["operation"])


def test_calls_are_counted_by_operation_verdict_and_code(live: Live) -> None:
    before = scraped(live)
    key = live.mint("devboxes:read")["key_secret"]
    listing, creating = operation_of(live, "GET", "/v1/devboxes"), operation_of(live, "POST", "/v1/devboxes")
    for _ in range(3):
        live.call("GET", "/v1/devboxes", key)
    for _ in range(2):
        live.call("POST", "/v1/devboxes", key)
    live.call("GET", "/v1/devboxes", "")
    wanted = {
        "allowed": (allowed(listing), 3.0),
        "refused": (refused("insufficient_scope", creating), 2.0),
        "anonymous": (refused("missing_credential"), 1.0),
    }

    def grown(labels: dict[str, str], after: dict[object, float]) -> float:
        return value(after, "keyscope_calls_total", **labels) - value(before, "keyscope_calls_total", **labels)  # type: ignore[arg-type]

    until(live, lambda now: all(grown(labels, now) == times for labels, times in wanted.values()))  # type: ignore[arg-type]


def test_the_times_of_judging_and_of_the_upstream_are_there_by_gate(live: Live) -> None:
    before = scraped(live)
    key = live.mint("devboxes:read")["key_secret"]
    for _ in range(4):
        assert live.call("GET", "/v1/devboxes", key).status_code == 200
    asked = {"x-original-uri": "/v1/devboxes", "x-original-method": "GET"}
    assert live.call("GET", "/keyscope/authorize/nginx", key, headers=asked).status_code == 200
    after = scraped(live)
    name = "keyscope_judging_seconds_count"
    assert value(after, name, gate="proxy") - value(before, name, gate="proxy") == 4
    assert value(after, name, gate="nginx") - value(before, name, gate="nginx") == 1
    upstream = "keyscope_upstream_seconds_count"
    assert value(after, upstream) - value(before, upstream) == 4
    assert 0 < value(after, "keyscope_judging_seconds_sum", gate="proxy") < 1


def test_a_revocation_is_timed_until_it_binds(live: Live) -> None:
    before = value(scraped(live), "keyscope_revocation_seconds_count")
    key = live.mint("devboxes:read")
    assert live.revoke(key["id"]).status_code == 200
    assert live.revoke("key_0000000000000000000000").status_code == 404
    assert value(scraped(live), "keyscope_revocation_seconds_count") == before + 1


def test_keys_are_counted_by_kind_and_status(new_directory: Callable[[], Path]) -> None:
    with Live(new_directory()) as live:
        for _ in range(2):
            live.mint("devboxes:read")
        live.revoke(live.mint("devboxes:read")["id"])
        found = scraped(live)
        assert value(found, "keyscope_keys", kind="rk", status="active") == 2
        assert value(found, "keyscope_keys", kind="rk", status="revoked") == 1
        assert value(found, "keyscope_keys", kind="ak", status="active") == 1
        assert value(found, "keyscope_store_up") == 1
        assert value(found, "keyscope_audit_waiting_seconds") < 5


def test_workers_add_up_and_no_number_ever_falls(new_directory: Callable[[], Path]) -> None:
    with Recorder() as upstream, Live(new_directory(), upstream=upstream.url, options=["--workers", "2"]) as live:
        key = live.mint("devboxes:read")["key_secret"]
        operation = operation_of(live, "GET", "/v1/devboxes")
        headers = {"authorization": f"Bearer {key}", "connection": "close"}
        highest = 0.0
        for number in range(40):
            assert httpx.get(f"{live.url}/v1/devboxes", headers=headers, trust_env=False).status_code == 200
            if number % 8 == 0:
                now = value(scraped(live), "keyscope_calls_total", **allowed(operation))
                assert now <= number + 1
                highest = max(highest, now)
        until(live, lambda found: value(found, "keyscope_calls_total", **allowed(operation)) == 40)
        until(live, lambda found: value(found, "keyscope_judging_seconds_count", gate="proxy") == 40)


@pytest.fixture(scope="module")
def closed(new_directory: Callable[[], Path]) -> Live:
    return Live(new_directory(), options=["--metrics-peers", "192.0.2.1"])


def test_other_peers_need_a_key_that_may_read_the_account(closed: Live) -> None:
    with closed as live:
        reader = live.mint("account:read")["key_secret"]
        other = live.mint("devboxes:write")["key_secret"]
        asked = [live.call("GET", "/keyscope/metrics", key).status_code for key in ("", other, reader, live.first)]
        assert asked == [401, 403, 200, 200]


def test_what_a_proxy_passed_on_for_somebody_is_not_believed(live: Live) -> None:
    for name in ("x-forwarded-for", "forwarded", "via", "x-real-ip"):
        assert live.call("GET", "/keyscope/metrics", "", headers={name: "203.0.113.9"}).status_code == 401
    assert live.call("GET", "/keyscope/metrics", "").status_code == 200


def test_a_key_that_is_shown_is_judged_from_everywhere(live: Live) -> None:
    other = live.mint("devboxes:write")["key_secret"]
    assert [live.call("GET", "/keyscope/metrics", key).status_code for key in (other, other[:-1] + "_")] == [403, 401]


def test_no_key_path_or_peer_is_in_them_however_many_there_are(live: Live) -> None:
    """The number of samples is bounded by the policy and the code, whatever callers send."""
    minted = [live.mint("devboxes:read", name=f"marked-{n}") for n in range(3)]
    for number, key in enumerate(minted):
        live.call("GET", f"/v1/devboxes/marked-{number}", key["key_secret"])
        live.call("GET", f"/marked/{number}", key["key_secret"])
        live.call("GET", "/v1/devboxes", f"rk_marked{number}")
    until(live, lambda found: value(found, "keyscope_calls_total", **refused("invalid_token")) >= 3)
    text = live.call("GET", "/keyscope/metrics", "").text
    assert "marked" not in text
    assert "127.0.0.1" not in text
    assert not any(key["id"] in text or key["key_secret"] in text for key in minted)


def test_openmetrics_is_spoken_to_who_asks_for_it(live: Live) -> None:
    response = live.call("GET", "/keyscope/metrics", "", headers={"accept": "application/openmetrics-text"})
    assert response.headers["content-type"].startswith("application/openmetrics-text")
    assert response.text.endswith("# EOF\n")
    assert values(live.call("GET", "/keyscope/metrics", "").text)
