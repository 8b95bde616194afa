"""``keyscope audit verify``, ``checkpoint`` and ``export``, on the files of a server that has run."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from keyscope.store.trail_open import trail_beside
from tests.audit.collector import Collector
from tests.cli.run import keyscope
from tests.live import Live
from tests.recorder import Recorder


@pytest.fixture
def ran(upstream: Recorder, new_directory: Callable[[], Path]) -> Iterator[Live]:
    """A server that minted, allowed and refused, and has ended."""
    with Live(new_directory(), upstream=upstream.url) as live:
        key = live.mint("devboxes:read", name="exported")
        live.call("GET", "/v1/devboxes", key["key_secret"])
        live.call("POST", "/v1/devboxes", key["key_secret"])
        live.stop()
        yield live


def audit(live: Live, *words: str, **environment: str) -> Any:
    return keyscope("audit", words[0], "--database", f"sqlite:///{live.database}", *words[1:], env=environment)


def change(file: Path, statement: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        for name, kind in connection.execute("SELECT name, type FROM sqlite_schema").fetchall():
            if kind == "trigger":
                connection.execute(f"DROP TRIGGER {name}")
        connection.execute(statement)
        connection.commit()


def test_a_trail_that_nobody_touched_verifies(ran: Live) -> None:
    done = audit(ran, "verify")
    assert (done.returncode, done.stdout.split(":")[0]) == (0, "The trail is whole")
    told = json.loads(audit(ran, "verify", "--json").stdout)
    assert (told["whole"], told["findings"], told["checkpoints"]) == (True, [], 2)


def test_a_tampered_trail_fails_and_the_first_bad_entry_is_named(ran: Live) -> None:
    change(
        trail_beside(ran.database),
        "UPDATE entries SET record = json_set(record, '$.peer', '10.0.0.9') WHERE number = 3",
    )
    done = audit(ran, "verify")
    assert (done.returncode, done.stdout) == (1, "changed: entry 3 was changed: its hash does not fit\n")
    [finding] = json.loads(audit(ran, "verify", "--json").stdout)["findings"]
    assert (finding["code"], finding["number"]) == ("changed", 3)


def test_a_change_altered_or_removed_in_the_database_is_found(ran: Live) -> None:
    change(ran.database, "UPDATE events SET peer = '10.0.0.9' WHERE kind = 'key.minted'")
    assert audit(ran, "verify").stdout.startswith("database: change ")
    change(ran.database, "DELETE FROM events WHERE kind = 'account.created'")
    assert "is gone from the database" in audit(ran, "verify").stdout
    assert audit(ran, "verify", "--trail-only").returncode == 0


def test_a_cut_end_is_found_by_the_checkpoint_that_lies_beside(ran: Live) -> None:
    change(trail_beside(ran.database), "DELETE FROM entries WHERE number > 4")
    done = audit(ran, "verify")
    assert (done.returncode, "the end is cut off" in done.stdout) == (1, True)


def test_a_checkpoint_that_was_printed_verifies_later_and_with_the_public_key_alone(ran: Live, tmp_path: Path) -> None:
    made = audit(ran, "checkpoint")
    kept = tmp_path / "kept.json"
    kept.write_text(made.stdout)
    public = json.loads(made.stdout)["key"]
    assert public in made.stderr
    ran.start()
    ran.mint("devboxes:read")
    ran.stop()
    key = trail_beside(ran.database).with_name("keyscope.db.audit.key")
    key.unlink()
    assert audit(ran, "verify", "--checkpoint", str(kept), "--public-key", public).returncode == 0
    wrong = audit(ran, "verify", "--public-key", "A" * 43 + "=")
    assert (wrong.returncode, wrong.stdout.startswith("signature:")) == (1, True)


def test_a_given_key_signs(ran: Live) -> None:
    seed = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    made = json.loads(audit(ran, "checkpoint", KEYSCOPE_AUDIT_KEY=seed).stdout)
    assert made["key"] == "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
    bad = audit(ran, "checkpoint", KEYSCOPE_AUDIT_KEY="short")
    assert (bad.returncode, "32 random bytes" in bad.stderr) == (2, True)


def test_json_lines_carry_the_chain_and_go_on_after_a_number(ran: Live) -> None:
    lines = audit(ran, "export").stdout.splitlines()
    last = bytes(32)
    for number, line in enumerate(lines, start=1):
        record, _, hash_ = line.rpartition(',"hash":"')
        last = sha256(last + f"{record}}}".encode()).digest()
        assert (json.loads(line)["number"], hash_) == (number, f'{last.hex()}"}}')
    assert audit(ran, "export", "--after", "3").stdout.splitlines() == lines[3:]


def test_opentelemetry_logs_arrive_at_a_collector(ran: Live) -> None:
    entries = [json.loads(line) for line in audit(ran, "export").stdout.splitlines()]
    with Collector() as collector:
        done = audit(ran, "export", "--otlp", collector.url, OTEL_EXPORTER_OTLP_HEADERS="x-team=keys")
        assert (done.returncode, f"--after {len(entries)}" in done.stderr) == (0, True)
    [(path, headers, body)] = collector.requests
    assert (path, headers["content-type"], headers["x-team"]) == ("/v1/logs", "application/json", "keys")
    assert {"key": "service.name", "value": {"stringValue": "keyscope"}} in body["resourceLogs"][0]["resource"][
        "attributes"
    ]
    assert [record["body"]["stringValue"] for record in collector.records] == [entry["kind"] for entry in entries]
    assert [record["timeUnixNano"] for record in collector.records] == [f"{e['at_ms']}000000" for e in entries]
    [denied] = [record for record in collector.records if record["eventName"] == "keyscope.call.denied"]
    told = {attribute["key"]: attribute["value"] for attribute in denied["attributes"]}
    assert denied["severityText"] == "WARN"
    assert told["keyscope.missing"] == {"arrayValue": {"values": [{"stringValue": "devboxes:write"}]}}
    assert told["keyscope.operation"] == {"stringValue": "createDevbox"}


def test_an_export_that_a_collector_does_not_take_says_where_to_go_on(ran: Live) -> None:
    with Collector(refuse_after=0) as collector:
        done = audit(ran, "export", "--otlp", collector.url, "--after", "2")
    assert (done.returncode, "answered 503. Go on with --after 2." in done.stderr) == (1, True)
    with Collector(rejected=3) as collector:
        assert "rejected 3 entries" in audit(ran, "export", "--otlp", collector.url).stderr
    assert "No" not in audit(ran, "export", "--otlp", "nonsense").stdout


@pytest.mark.parametrize("words", [("verify",), ("checkpoint",), ("export",)])
def test_a_database_without_a_trail_is_told_apart_from_a_broken_one(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = keyscope("audit", *words, "--database", f"sqlite:///{tmp_path}/none.db")
    assert done.returncode == 2
    assert "There is no audit trail" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_new_trail_beside_an_older_database_says_so_and_tells_its_past(ran: Live) -> None:
    before = [json.loads(line) for line in audit(ran, "export").stdout.splitlines()]
    for file in ran.directory.glob("keyscope.db.audit*"):
        file.unlink()
    ran.start()
    ran.stop()
    after = [json.loads(line) for line in audit(ran, "export").stdout.splitlines()]
    changes = [entry["event"] for entry in before if entry["kind"] in ("account.created", "key.minted")]
    assert after[0]["changes"] == {"database_events": len(changes)}
    assert [entry["event"] for entry in after if "event" in entry and entry["kind"] != "trail.checkpoint"] == changes
    assert audit(ran, "verify").returncode == 0


def test_a_trail_that_vanished_is_missed(ran: Live) -> None:
    trail_beside(ran.database).unlink()
    ran.start()
    ran.stop()
    first = json.loads(audit(ran, "export").stdout.splitlines()[0])
    assert first["changes"]["earlier_trail"] == "missing"
    assert "the audit trail that was here is gone" in ran.log
