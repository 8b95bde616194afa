"""``keyscope attenuate`` makes a narrower key without a server, and puts nothing else on stdout."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from keyscope.model.derived import last_id, narrowing, parse_derived, share_of, verify_derived
from keyscope.model.key import NEVER_MS
from keyscope.model.scope import Grant, Scope
from keyscope.model.token import Kind, format_token
from tests.cli.run import keyscope

ROOT = format_token(Kind.RESTRICTED, bytes(range(32)))
NOWHERE = "http://127.0.0.1:1"
HOUR_MS = 3_600_000


def test_the_key_alone_is_printed_and_its_id_beside_it(tmp_path: Path) -> None:
    words = ("--scope", "devboxes:read", "--expires-in", "1h", "--label", "build 42")
    before = time.time_ns() // 1_000_000
    done = keyscope("attenuate", *words, cwd=tmp_path, KEYSCOPE_API_KEY=ROOT.reveal(), KEYSCOPE_URL=NOWHERE)
    [line] = done.stdout.splitlines()
    found = parse_derived(line.encode())
    grant, ends = narrowing(found)
    assert (done.returncode, grant) == (0, Grant([Scope.parse("devboxes:read")]))
    assert before + HOUR_MS <= ends <= time.time_ns() // 1_000_000 + HOUR_MS
    assert found.caveats[0].label == "build 42"
    assert verify_derived(found, share_of(ROOT)) == (last_id(line),)
    assert last_id(line) in done.stderr
    assert line not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_it_restricts_and_refuses_what_a_link_before_forbids(tmp_path: Path) -> None:
    words = ("--restrict", "instances.devboxes=dbx_a,ci-*", "--restrict", "uses=5", "--restrict", "deny=shutdownDevbox")
    first = keyscope("attenuate", "-", *words, cwd=tmp_path, stdin=ROOT.reveal() + "\n").stdout
    (caveat,) = parse_derived(first.strip().encode()).caveats
    assert caveat.restrictions == {
        "deny": ["shutdownDevbox"],
        "instances": {"devboxes": ["ci-*", "dbx_a"]},
        "uses": 5,
    }
    more = keyscope("attenuate", "-", "--restrict", '{"uses": 6}', cwd=tmp_path, stdin=first)
    assert more.returncode == 2
    assert "ask for no more than that" in more.stderr
    wrong = keyscope("attenuate", "-", "--restrict", "use=6", cwd=tmp_path, stdin=first)
    assert "is none of: instances.TYPE" in wrong.stderr


def test_it_derives_from_stdin_and_from_a_derived_key(tmp_path: Path) -> None:
    first = keyscope("attenuate", "-", "--scope", "devboxes:write", cwd=tmp_path, stdin=ROOT.reveal() + "\n").stdout
    done = keyscope("attenuate", "-", "--no-scopes", "--json", cwd=tmp_path, stdin=first)
    shown = json.loads(done.stdout)
    found = parse_derived(shown["key_secret"].encode())
    assert verify_derived(found, share_of(ROOT)) == (last_id(first.strip()), shown["id"])
    assert narrowing(found) == (Grant(), NEVER_MS)
    assert (shown["expires_at_ms"], done.stderr) == (None, "")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("-", "--scope", "devboxes:write"), "does not have devboxes:write"),
        (("-", "--expires-in", "2h"), "cannot end later"),
        (("-", "--scope", "devboxes:read", "--no-scopes"), "contradict"),
        (("-", "--scope", "devboxes:admin"), "is not a scope"),
        (("-", "--expires-in", "soon"), "not a length of time"),
        (("-", "--label", "two\nlines"), "one line"),
        ((), "No key was given"),
    ],
)
def test_what_would_widen_or_makes_no_sense_is_refused(tmp_path: Path, words: tuple[str, ...], sentence: str) -> None:
    limits = ("--scope", "devboxes:read", "--expires-in", "1h")
    parent = keyscope("attenuate", "-", *limits, cwd=tmp_path, stdin=ROOT.reveal()).stdout
    done = keyscope("attenuate", *words, cwd=tmp_path, stdin=parent)
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in " ".join(done.stderr.split())
    assert parent.strip() not in done.stderr


def test_a_mistyped_key_is_not_repeated(tmp_path: Path) -> None:
    wrong = ROOT.reveal()[:-1]
    done = keyscope("attenuate", "-", cwd=tmp_path, stdin=wrong)
    assert (done.returncode, done.stdout) == (2, "")
    assert "copied whole" in " ".join(done.stderr.split())
    assert wrong not in done.stderr
