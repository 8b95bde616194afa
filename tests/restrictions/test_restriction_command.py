"""``--restrict``: short forms and JSON come to the same, and what is wrong is said before anything is sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest

from keyscope.cli.restricting import read_restrictions
from tests.cli.run import keyscope
from tests.live import Live


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["uses=50"], {"uses": 50}),
        (["deny=shutdownDevbox", "deny=DELETE,deleteObject"], {"deny": ["shutdownDevbox", "DELETE", "deleteObject"]}),
        (
            ["instances.devboxes=dbx_a,ci-*", "instances.objects=obj_1", "instances.devboxes=x"],
            {"instances": {"devboxes": ["dbx_a", "ci-*", "x"], "objects": ["obj_1"]}},
        ),
        (["own"], {"own": True}),
        (["own=devboxes,snapshots"], {"own": ["devboxes", "snapshots"]}),
        (["cidrs=10.0.0.0/8,2001:db8::/32"], {"cidrs": ["10.0.0.0/8", "2001:db8::/32"]}),
        (["not_before=2030-01-01T00:00:00Z"], {"not_before_ms": 1_893_456_000_000}),
        (["not_before=2030-01-01T01:00:00+01:00"], {"not_before_ms": 1_893_456_000_000}),
        (
            ["window=22:00-06:00,Europe/Berlin,mon,tue"],
            {"window": {"from": "22:00", "to": "06:00", "timezone": "Europe/Berlin", "days": ["mon", "tue"]}},
        ),
        (["rate=100/1m"], {"rate": {"requests": 100, "per_ms": 60_000}}),
        (["hold=10m"], {"hold": {"deadline_ms": 600_000}}),
        (["hold=delay:30s,deleteObject"], {"hold": {"delay_ms": 30_000, "operations": ["deleteObject"]}}),
        (['{"uses": 5, "own": true}', "parallel=2"], {"uses": 5, "own": True, "parallel": 2}),
        ([], None),
    ],
)
def test_a_short_form_is_the_json_of_the_api(texts: list[str], expected: Any) -> None:
    assert read_restrictions(texts) == expected


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["uses"], "is none of"),
        (["use=5"], "is none of"),
        (["uses=many"], "write a whole number"),
        (["uses=0"], "send a whole number from 1"),
        (["uses=1", "uses=2"], "uses is given twice"),
        (["rate=100"], "write how many in which time"),
        (["rate=1/soon"], "not a length of time"),
        (["not_before=tomorrow"], "write a time with its zone"),
        (["not_before=2030-01-01T00:00:00"], "write a time with its zone"),
        (["window=9-17"], "write window=09:00-17:00"),
        (["window=09:00-17:00,Mars"], "there is no such time zone"),
        (["cidrs=10.0.0.1/8"], "did you mean 10.0.0.0/8"),
        (['{"uses": 5, "uses": 6}'], "stands twice"),
        (["{"], "is not JSON"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_sent(texts: list[str], words: str) -> None:
    with pytest.raises(click.UsageError) as caught:
        read_restrictions(texts)
    assert words in caught.value.message


def test_the_command_mints_shows_and_changes_restrictions(live: Live, tmp_path: Path) -> None:
    server: dict[str, Any] = {"KEYSCOPE_URL": live.url, "KEYSCOPE_API_KEY": live.first}

    def run(*words: str) -> str:
        done = keyscope(*words, cwd=tmp_path, **server)
        assert done.returncode == 0, done.stderr
        return done.stdout

    restrict = ("--restrict", "instances.devboxes=dbx_a,ci-*", "--restrict", "deny=shutdownDevbox")
    made = keyscope("keys", "create", "--scope", "devboxes:write", *restrict, "--restrict", "instances.objects=o",
                    "--json", cwd=tmp_path, **server)  # fmt: skip
    assert "idle_restriction: The key reaches no objects" in made.stderr
    key_id = json.loads(made.stdout)["id"]
    shown = run("keys", "show", key_id)
    assert "restricted: only devboxes" in shown
    assert "ci-*, dbx_a" in shown
    assert "restricted: deny" in shown
    assert "restricted: uses" in run("keys", "update", key_id, "--restrict", "uses=9")
    assert "restricted:" not in run("keys", "update", key_id, "--no-restrictions")
    both = keyscope("keys", "update", key_id, "--restrict", "uses=9", "--no-restrictions", cwd=tmp_path, **server)
    assert "contradict" in both.stderr
    standard = keyscope("keys", "create", "--standard", "--restrict", "uses=9", cwd=tmp_path, **server)
    assert "--restrict" in standard.stderr
