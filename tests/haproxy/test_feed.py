"""``keyscope export haproxy`` and ``keyscope feed``: a HAProxy that a team runs itself, as the two commands have it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.haproxy.inside import until
from tests.haproxy.many import minted
from tests.haproxy.team import KEYSCOPE, Team, judges_alone, running_team
from tests.live import Live
from tests.programs import requires_program
from tests.recorder import Recorder

pytestmark = requires_program("haproxy")


@pytest.fixture
def team(live: Live, upstream: Recorder, tmp_path: Path) -> Iterator[Team]:
    with running_team(live, upstream, tmp_path) as made:
        yield made


def test_it_judges_and_every_change_holds_for_the_next_request(team: Team, live: Live, upstream: Recorder) -> None:
    for _ in range(10):
        made = live.mint("devboxes:read")
        assert team.status(made["key_secret"]) == 200
        assert team.status(made["key_secret"], "/v1/devboxes/dbx_1/suspend", "POST") == 403
        live.revoke(made["id"])
        assert team.status(made["key_secret"]) == 401
    assert {seen.method for seen in upstream.take()} == {"GET"}


def test_a_feeder_that_is_killed_is_waited_for_once_and_then_missed_by_nobody(
    team: Team, live: Live, upstream: Recorder
) -> None:
    links = Path(f"{live.database}.gates")
    [link] = links.iterdir()
    os.kill(int(link.name.split("-")[0]), signal.SIGKILL)
    made = live.mint("devboxes:read")  # answers when HAProxy has ceased to judge alone
    assert not judges_alone(team, live, upstream)
    assert team.status(made["key_secret"]) == 200
    live.revoke(made["id"])
    assert team.status(made["key_secret"]) == 401
    assert list(links.iterdir()) == []
    team.feeder()
    until(lambda: judges_alone(team, live, upstream))
    assert team.status(made["key_secret"]) == 401


def test_forward_auth_is_not_for_callers_from_elsewhere(team: Team) -> None:
    configuration = (team.folder / "haproxy.cfg").read_text()
    assert (
        "http-request deny deny_status 403 if { path_beg /keyscope/authorize } !{ src 127.0.0.0/8 ::1 }"
        in configuration
    )


def test_it_is_reloaded_when_much_has_changed(team: Team, live: Live, upstream: Recorder) -> None:
    root = live.mint("account:write", "devboxes:read")
    tree = minted(live, 10_500, below=root["id"])
    live.revoke(root["id"])
    until(lambda: judges_alone(team, live, upstream))
    assert {team.status(secret) for secret in tree.secrets[::1000]} == {401}


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    words = ["feed", "--database", f"sqlite:///{tmp_path}/k.db", "--directory", str(tmp_path / "file" / "x")]
    done = subprocess.run([*KEYSCOPE, *words], capture_output=True, text=True, timeout=60)
    assert (done.returncode, "--directory" in done.stderr, "Traceback" in done.stderr) == (2, True, False)
