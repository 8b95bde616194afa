"""The sound build passes each of these checks, and a build without the defence that it is about does not.

And ``kill -9`` around the moment when what a key made is written down.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.live import Live
from tests.recorder import Recorder
from tests.replies.sandboxes import Sandboxes

BROKEN = Path(__file__).parent / "broken.py"
OWN = {"own": True}
Check = Callable[[Live, Sandboxes], bool]


def mint(live: Live, *scopes: str, **body: Any) -> str:
    secret: str = live.mint(*scopes, **body)["key_secret"]
    return secret


def create(live: Live, secret: str, **headers: str) -> httpx.Response:
    return live.call("POST", "/v1/devboxes", secret, json={}, headers=headers)


def a_reader_sees_no_token(live: Live, sandboxes: Sandboxes) -> bool:
    name = sandboxes.new_devbox(tunnel={"auth_token": "s3cret"})
    return "s3cret" not in live.call("GET", f"/v1/devboxes/{name}", mint(live, "devboxes:read")).text


def a_name_in_another_spelling_is_cut_out(live: Live, sandboxes: Sandboxes) -> bool:
    sandboxes.spelling = ("auth_token", "auth_to\\u006ben")
    try:
        return a_reader_sees_no_token(live, sandboxes)
    finally:
        sandboxes.spelling = None


def a_list_shows_only_own_things(live: Live, sandboxes: Sandboxes) -> bool:
    sandboxes.new_devbox()
    secret = mint(live, "devboxes:write", restrictions=OWN)
    made = create(live, secret).json()["id"]
    return [box["id"] for box in live.call("GET", "/v1/devboxes", secret).json()["devboxes"]] == [made]


def what_was_made_is_reached(live: Live, sandboxes: Sandboxes) -> bool:
    secret = mint(live, "devboxes:write", restrictions=OWN)
    made = create(live, secret).json()["id"]
    return live.call("GET", f"/v1/devboxes/{made}", secret).status_code == 200


def a_repeated_request_takes_nothing_away(live: Live, sandboxes: Sandboxes) -> bool:
    """The platform answers a foreign request id with the devbox that was made under it."""
    first, second = (mint(live, "devboxes:write", restrictions=OWN) for _ in range(2))
    made = create(live, first, **{"x-request-id": "r1"}).json()["id"]
    taken = create(live, second, **{"x-request-id": "r1"})
    statuses = [live.call("GET", f"/v1/devboxes/{made}", secret).status_code for secret in (first, second)]
    refused = (taken.status_code, taken.json().get("code"), taken.headers.get("x-should-retry"))
    return statuses == [200, 404] and refused == (503, "not_recorded", "false")


def a_cursor_tells_nothing(live: Live, sandboxes: Sandboxes) -> bool:
    secret, foreign = mint(live, "devboxes:write", restrictions=OWN), sandboxes.new_devbox()
    answers = [live.call("GET", f"/v1/devboxes?starting_after={name}", secret) for name in (foreign, "dbx_none")]
    return answers[0].status_code == answers[1].status_code


CHECKS: dict[str, Check] = {
    "shows_credentials_to_all": a_reader_sees_no_token,
    "looks_for_plain_names_only": a_name_in_another_spelling_is_cut_out,
    "lists_everything": a_list_shows_only_own_things,
    "records_nothing": what_was_made_is_reached,
    "gives_a_thing_to_its_latest_maker": a_repeated_request_takes_nothing_away,
    "begins_lists_anywhere": a_cursor_tells_nothing,
}


def test_the_sound_build_passes_every_check(new_directory: Callable[[], Path]) -> None:
    sandboxes = Sandboxes()
    with Recorder(sandboxes) as upstream, Live(new_directory(), upstream=upstream.url) as live:
        assert [name for name, check in CHECKS.items() if not check(live, sandboxes)] == []


@pytest.mark.parametrize("build", sorted(CHECKS))
def test_a_broken_build_is_caught(build: str, new_directory: Callable[[], Path]) -> None:
    sandboxes = Sandboxes()
    with (
        Recorder(sandboxes) as upstream,
        Live(new_directory(), upstream=upstream.url, program=(str(BROKEN), build)) as live,
    ):
        assert not CHECKS[build](live, sandboxes)
        assert "Traceback" not in live.log


@pytest.mark.parametrize("build", ["dies_before_the_record", "dies_after_the_record"])
def test_kill_9_leaves_nothing_unowned_and_reachable(build: str, new_directory: Callable[[], Path]) -> None:
    sandboxes, directory = Sandboxes(), new_directory()
    with Recorder(sandboxes) as upstream:
        dying = Live(directory, upstream=upstream.url, program=(str(BROKEN), build))
        with dying:
            maker, other = (mint(dying, "devboxes:write", restrictions=OWN) for _ in range(2))
            with pytest.raises(httpx.RemoteProtocolError):
                create(dying, maker)
            assert dying.exit_code() == -9
        [made] = sandboxes.devboxes
        sound = Live(directory, upstream=upstream.url, environment={"KEYSCOPE_BOOTSTRAP_KEY": dying.first})
        sound.first = dying.first
        with sound as live:
            recorded = build == "dies_after_the_record"
            reached = [live.call("GET", f"/v1/devboxes/{made}", key).status_code for key in (maker, other)]
            assert reached == [200 if recorded else 404, 404]
            listed = [live.call("GET", "/v1/devboxes", key).json()["devboxes"] for key in (maker, other)]
            assert [[box["id"] for box in boxes] for boxes in listed] == [[made] if recorded else [], []]
            assert live.call("GET", f"/v1/devboxes/{made}").status_code == 200
