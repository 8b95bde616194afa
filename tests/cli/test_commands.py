"""The command against a real server: what people see, and what programs read."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.run import keyscope
from tests.live import Live

HOUR_MS = 3_600_000
Ask = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def ask(live: Live) -> Ask:
    def run(*words: str, key: str | None = None, stdin: str = "") -> subprocess.CompletedProcess[str]:
        environment = {"KEYSCOPE_URL": live.url, "KEYSCOPE_API_KEY": live.first if key is None else key}
        return keyscope(*words, stdin=stdin, env={name: value for name, value in environment.items() if value})

    return run


def test_create_show_list_update_revoke(ask: Ask) -> None:
    made = ask("keys", "create", "--name", "cli-1", "--scope", "devboxes:read", "--expires-in", "8h", "--json")
    reply = json.loads(made.stdout)
    assert abs(reply["expires_at_ms"] - time.time() * 1000 - 8 * HOUR_MS) < 60_000
    key_id = reply["id"]
    shown = ask("keys", "show", key_id).stdout
    assert "cli-1" in shown
    assert "devboxes:read" in shown
    assert "active" in shown
    assert reply["key_secret"] not in shown
    assert key_id in ask("keys", "list", "--name", "cli-1").stdout
    updated = ask("keys", "update", key_id, "--scope", "objects:write", "--no-expiry", "--json")
    assert json.loads(updated.stdout)["expires_at_ms"] is None
    assert ask("keys", "revoke", key_id, "--reason", "done").stdout == f"{key_id} is revoked.\n"
    assert json.loads(ask("keys", "show", key_id, "--json").stdout)["status"] == "revoked"
    assert key_id in ask("keys", "list", "--status", "revoked").stdout


def test_the_secret_alone_on_stdout(ask: Ask, live: Live) -> None:
    secret = ask("keys", "create", "--secret-only").stdout
    assert live.call("GET", "/keyscope/me", secret.rstrip("\n")).status_code == 200


def test_the_ids_alone_for_scripts(ask: Ask) -> None:
    ids = [json.loads(ask("keys", "create", "--name", f"script-{n}", "--json").stdout)["id"] for n in range(2)]
    assert ask("keys", "list", "--name", "script-", "--ids-only").stdout.split() == ids[::-1]
    assert ask("keys", "list", "--name", "nobody", "--ids-only").stdout == ""


def test_standard_keys_have_their_own_list_and_are_found_by_id(ask: Ask) -> None:
    made = json.loads(ask("keys", "create", "--standard", "--name", "cli-standard", "--json").stdout)
    assert made["key_secret"].startswith("ak_")
    assert "everything" in ask("keys", "show", made["id"]).stdout
    assert made["id"] in ask("keys", "list", "--standard").stdout
    assert made["id"] not in ask("keys", "list", "--name", "cli-standard").stdout
    assert ask("keys", "revoke", made["id"]).returncode == 0


def test_options_come_from_the_environment_too(live: Live) -> None:
    environment = {"KEYSCOPE_URL": live.url, "KEYSCOPE_API_KEY": live.first, "KEYSCOPE_NAME": "from-env"}
    made = json.loads(keyscope("keys", "create", "--json", env=environment).stdout)
    assert made["name"] == "from-env"


def test_there_is_no_colour_off_a_terminal(ask: Ask) -> None:
    for words in (("me",), ("keys", "list"), ("policy", "show", "runloop")):
        assert "\x1b" not in ask(*words).stdout


def test_a_key_is_told_what_it_is_bound_to(ask: Ask) -> None:
    bound = ("--restrict", "uses=3", "--restrict", "instances.devboxes=dbx_a", "--lease", "15m")
    key = ask("keys", "create", "--name", "bound", "--scope", "devboxes:read", *bound, "--secret-only").stdout.strip()
    assert ask("can", key, "GET", "/v1/devboxes/dbx_a").returncode == 0
    said = ask("me", key=key).stdout
    assert all(words in said for words in ("only devboxes", "dbx_a", "lease", "0 times, 3 left"))  # to ask is no use
    assert ask("can", key, "GET", "/v1/devboxes/dbx_b").returncode == 1


def test_me_and_can(ask: Ask, live: Live) -> None:
    key = live.mint("devboxes:read", name="asker")["key_secret"]
    assert "devboxes:read" in ask("me", key=key).stdout
    yes = ask("can", key, "GET", "/v1/devboxes")
    assert (yes.returncode, yes.stdout) == (0, "The key may call listDevboxes (GET /v1/devboxes).\n")
    no = ask("can", "-", "POST", "/v1/devboxes", stdin=key + "\n")
    assert no.returncode == 1
    assert "lacks devboxes:write" in no.stdout
    alone = ask("can", key, "POST", "/v1/devboxes", key="")
    assert alone.returncode == 1
    assert "keyscope keys update" in alone.stdout


def test_can_judges_a_body_against_a_server_and_offline(ask: Ask, live: Live, tmp_path: Path) -> None:
    body = tmp_path / "body.json"
    body.write_text('{"blueprint_id": "bpt_1"}')
    key = live.mint("devboxes:write")["key_secret"]
    for words in (
        (key, "POST", "/v1/devboxes", "--body", str(body)),
        ("-", "POST", "/v1/devboxes", "--body", str(body), "--offline", "--scope", "devboxes:write"),
    ):
        done = ask("can", *words, "--json")
        assert done.returncode == 1
        assert json.loads(done.stdout)["missing_scopes"] == ["blueprints:read"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("keys", "create", "--scope", "devboxes"), "is not a scope"),
        (("keys", "create", "--expires-in", "soon"), "is not a length of time"),
        (("keys", "create", "--standard", "--scope", "devboxes:read"), "full access"),
        (("keys", "update", "key_x"), "Say what to change"),
        (("can", "-", "GET", "/v1/devboxes", "--scope", "devboxes:read"), "--offline"),
        (("policy", "show", "runlop"), "runloop"),
        (("can", "-", "GET", "//x", "--offline"), "not in canonical form"),
    ],
)
def test_wrong_use_is_a_sentence_and_exit_code_2(ask: Ask, words: tuple[str, ...], sentence: str) -> None:
    done = ask(*words)
    assert done.returncode == 2
    assert sentence in done.stderr


def test_what_a_server_refuses_is_said_in_its_words(ask: Ask) -> None:
    done = ask("keys", "show", "key_unknown")
    assert (done.returncode, done.stderr) == (1, "keyscope: There is no such thing in this account.\n")
    unknown = ask("keys", "create", "--scope", "everything:read")
    assert unknown.returncode == 1
    assert "unknown resource type" in unknown.stderr


def test_without_a_key_or_a_server_the_remedy_is_named(tmp_path: Path) -> None:
    assert "Set KEYSCOPE_API_KEY" in keyscope("me").stderr
    away = keyscope("me", KEYSCOPE_API_KEY="ak_x", KEYSCOPE_URL="http://127.0.0.1:9")
    assert away.returncode == 1
    assert "keyscope serve" in away.stderr


def test_policy_check_fails_on_faults_and_says_how_overlaps_are_settled(tmp_path: Path) -> None:
    document = Path(__file__).parents[1] / "data" / "openapi" / "runloop.yaml"
    done = keyscope("policy", "check", "runloop", "--openapi", str(document))
    assert done.returncode == 0
    assert "true tie" in done.stdout
    short = tmp_path / "short.yaml"
    short.write_text(
        "policy: short\ntitle: Short\nkey_management: null\nresource_types: {devboxes: d}\n"
        "operations:\n  - {id: a, call: GET /v1/devboxes, needs: [devboxes:read], why: lists}\n"
    )
    failed = keyscope("policy", "check", str(short), "--openapi", str(document))
    assert failed.returncode == 1
    assert "unmapped" in failed.stdout
    assert keyscope("policy", "diff", "runloop", "runloop").returncode == 0
    assert "removed" in keyscope("policy", "diff", "runloop", str(short), "--json").stdout


def test_doctor_finds_what_is_wrong(ask: Ask, live: Live) -> None:
    well = ask("doctor")
    assert (well.returncode, well.stdout.count("ok ")) == (0, 4)
    ill = keyscope("doctor", KEYSCOPE_URL="http://127.0.0.1:9", KEYSCOPE_POLICY="nowhere.yaml")
    assert ill.returncode == 1
    assert ill.stdout.count("wrong ") == 3
    assert keyscope("doctor", KEYSCOPE_PORT="x").returncode == 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(shell: str) -> None:
    assert "_KEYSCOPE_COMPLETE" in keyscope("completion", shell).stdout


def test_completion_offers_the_commands() -> None:
    environment = {"_KEYSCOPE_COMPLETE": "bash_complete", "COMP_WORDS": "keyscope ke", "COMP_CWORD": "1"}
    assert "plain,keys" in keyscope(env=environment).stdout
