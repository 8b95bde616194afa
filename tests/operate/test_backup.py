"""Backup and restore by the command as it is run: whole under load, over nothing, and no key comes back unseen."""

from __future__ import annotations

import json
import sqlite3
import stat
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, NamedTuple

import httpx
import pytest

from keyscope.authority.again import last_change, taken_away
from keyscope.errors import ConfigurationError
from keyscope.store.old import later_than
from keyscope.store.restore import unpacked
from tests.cli.run import keyscope
from tests.live import Live, wire_scopes
from tests.recorder import Recorder
from tests.test_no_secret_leaks import holds_a_key

SOONER_MS = 4_000_000_000_000
GAP = 12
"""The number of a change after the backup."""
BESIDE = {".audit", ".webhooks", ".counters", ".audit.checkpoint", ".marker", ".audit.key", ".webhooks.key"}
LINK = "drv_" + "0" * 22


def db(*words: object, stdin: str = "") -> CompletedProcess[str]:
    return keyscope("db", *map(str, words), stdin=stdin)


def url(path: Path) -> str:
    return f"sqlite:///{path}"


def made(*words: object) -> str:
    """Of a command that has to work: what it said."""
    done = db(*words)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where a restored database goes."""
    (tmp_path / "restored").mkdir()
    return tmp_path / "restored" / "keyscope.db"


class Story(NamedTuple):
    """A server that was backed up, and after that much was taken away from its keys. It has ended."""

    live: Live
    keys: dict[str, dict[str, Any]]
    backup: Path
    its_keys: Path

    @property
    def database(self) -> Path:
        return self.live.database

    def restore(self, place: Path) -> tuple[object, ...]:
        """The words of a command."""
        return "restore", self.backup, "--database", url(place), "--keys", self.its_keys


@pytest.fixture(scope="module")
def story(new_directory: Callable[[], Path]) -> Story:
    with Live(new_directory()) as live:
        names = ("revoked", "back", "suspended", "narrowed", "shortened", "rotated", "derived", "same")
        keys = {name: live.mint("devboxes:write", "objects:read", name=name) for name in names}
        ids = {name: key["id"] for name, key in keys.items()}
        files = live.directory / "backup", live.directory / "keys"
        made("backup", files[0], "--database", url(live.database), "--keys", files[1])
        live.mint("devboxes:read", name="later")
        post(live, ids["revoked"], "/revoke", reason="leaked")
        post(live, ids["back"], "/revoke")
        post(live, ids["back"], "/undelete")
        post(live, ids["suspended"], "/suspend")
        post(live, ids["narrowed"], "", scopes=wire_scopes(["devboxes:read"]))
        post(live, ids["shortened"], "", expires_at_ms=SOONER_MS)
        post(live, ids["rotated"], "/rotate", overlap_ms=0)
        post(live, ids["derived"], f"/derived/{LINK}/revoke")
    return Story(live, keys, *files)


def post(live: Live, key_id: str, verb: str, **body: object) -> None:
    done = live.call("POST", f"/v1/restricted_keys/{key_id}{verb}", json=body)
    assert done.status_code == 200, done.text


@pytest.fixture(scope="module")
def records(story: Story) -> dict[str, Path]:
    """All that may still know what was done."""
    export = story.live.directory / "export.jsonl"
    export.write_text(keyscope("audit", "export", "--database", url(story.database)).stdout)
    return {"database": story.database, "trail": Path(f"{story.database}.audit"), "export": export}


def test_what_was_taken_away_after_the_backup_is_taken_away_again(story: Story, place: Path) -> None:
    said = made(*story.restore(place), "--old", story.database, "--yes")
    assert "They took something from 6 keys that it holds" in said
    assert "1 keys were minted after it" in said
    with Live(place.parent, options=["--database", url(place)]) as live:
        live.first = story.live.first
        views = {view["name"]: view for view in live.call("GET", "/v1/restricted_keys").json()["restricted_keys"]}
        assert {name: view["status"] for name, view in views.items()} == {
            **dict.fromkeys(("back", "narrowed", "shortened", "derived", "same"), "active"),
            **dict.fromkeys(("suspended", "rotated"), "suspended"),
            "revoked": "revoked",
        }
        assert views["narrowed"]["scopes"] == wire_scopes(["devboxes:read"])
        assert views["shortened"]["expires_at_ms"] == SOONER_MS
        for name, key in story.keys.items():
            expected = 200 if views[name]["status"] == "active" else 401
            assert live.call("GET", "/keyscope/me", key["key_secret"]).status_code == expected
    whole = keyscope("audit", "verify", "--database", url(place))
    assert whole.returncode == 0, whole.stdout


@pytest.mark.parametrize("record", ["trail", "export"])
def test_every_record_tells_the_same(story: Story, records: dict[str, Path], place: Path, record: str) -> None:
    with unpacked(story.backup, None, place) as found:
        last = found.store.read(last_change)
    told = later_than(records[record], last)
    assert told == later_than(story.database, last)
    assert len({one.key_id for one in taken_away(told)}) == 7  # the one that came back among them


def test_a_restore_says_first_what_it_would_do_and_does_nothing_if_that_is_not_wanted(
    story: Story, place: Path
) -> None:
    done = db(*story.restore(place), "--old", story.database, stdin="n\n")
    assert done.returncode == 1
    named = {line.split()[1] for line in done.stdout.splitlines()[1:]}
    assert named == {"revoked", "suspended", "narrowed", "shortened", "rotated", "derived"}
    assert [*place.parent.iterdir()] == []


def test_without_a_record_of_what_came_later_nothing_is_restored_unless_that_is_said(story: Story, place: Path) -> None:
    done = db(*story.restore(place))
    assert (done.returncode, "--revive" in done.stderr) == (2, True)
    assert [*place.parent.iterdir()] == []
    assert "panic --all-restricted" in made(*story.restore(place), "--revive")
    for end in (".audit.key", ".webhooks.key"):
        there, before = Path(f"{place}{end}"), Path(f"{story.database}{end}")
        assert there.read_bytes() == before.read_bytes()
        assert stat.S_IMODE(there.stat().st_mode) == 0o600
    said = made("reapply", story.database, "--database", url(place), "--yes")
    assert "6 keys are again as they were" in said
    done = db("reapply", story.database, "--database", url(place), "--yes")
    assert (done.returncode, "does not go on" in done.stderr) == (2, True), "it went its own way"


@pytest.mark.parametrize("end", ["", "-wal", *sorted(BESIDE)])
def test_a_restore_overwrites_nothing(story: Story, place: Path, end: str) -> None:
    other = place.with_name(place.name + end)
    other.write_bytes(b"mine")
    with pytest.raises(ConfigurationError, match="never overwrites"), unpacked(story.backup, None, place):
        pass
    assert (other.read_bytes(), [*place.parent.iterdir()]) == (b"mine", [other])


def test_a_backup_overwrites_nothing_and_is_for_its_owner_alone(story: Story, tmp_path: Path) -> None:
    words = ("backup", tmp_path / "one", "--database", url(story.database), "--keys", tmp_path / "keys")
    made(*words)
    assert {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("one", "keys")} == {0o600}
    assert db(*words).returncode == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["keys", "one"]
    with tarfile.open(tmp_path / "one") as tar:
        assert not any("key" in name.removeprefix("keyscope") for name in tar.getnames())
    assert not any(holds_a_key(path.read_bytes()) for path in tmp_path.iterdir())


def damaged(backup: Path, folder: Path) -> Iterator[Path]:
    """The backup with a byte changed in its database, cut off, without its manifest, and something else altogether."""
    content = backup.read_bytes()
    at = content.index(b"SQLite format 3\0", content.index(b"keyscope.db\0")) + 5000
    changed = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
    with tarfile.open(backup) as tar:
        first = tar.getmembers()[1].offset
    for name, what in {"changed": changed, "cut": content[: len(content) // 2], "bare": content[first:]}.items():
        (folder / name).write_bytes(what)
        yield folder / name
    (folder / "other").write_bytes(b"not a backup")
    yield folder / "other"


def test_a_backup_that_is_not_whole_is_refused(story: Story, place: Path, tmp_path: Path) -> None:
    for broken in damaged(story.backup, tmp_path):
        with pytest.raises(ConfigurationError, match=r"[Tt]ake another"), unpacked(broken, None, place):
            pass
        assert [*place.parent.iterdir()] == []


def test_a_record_that_does_not_go_on_from_the_backup_is_refused(
    story: Story, records: dict[str, Path], place: Path, tmp_path: Path, new_directory: Callable[[], Path]
) -> None:
    lines = records["export"].read_text().splitlines(keepends=True)
    (tmp_path / "late.jsonl").write_text("".join(lines[-3:]))
    (tmp_path / "gap.jsonl").write_text("".join(line for line in lines if json.loads(line).get("event") != GAP))
    with Live(new_directory()) as other:
        pass
    with unpacked(story.backup, None, place) as found:
        last = found.store.read(last_change)
    for old in (tmp_path / "late.jsonl", tmp_path / "gap.jsonl", other.database, tmp_path / "none", story.backup):
        with pytest.raises(ConfigurationError):
            later_than(old, last)


def test_a_backup_under_load_is_whole_and_has_all_that_was_answered_before_it(
    new_directory: Callable[[], Path], place: Path, tmp_path: Path
) -> None:
    with Live(new_directory()) as live:
        headers = {"authorization": f"Bearer {live.first}"}
        ended, minted = threading.Event(), [live.mint("devboxes:read")["id"]]

        def load() -> None:
            with httpx.Client(base_url=live.url, headers=headers, trust_env=False) as http:
                while not ended.is_set():
                    reply = http.post("/v1/restricted_keys", json={}).json()
                    http.get("/keyscope/me", headers={"authorization": f"Bearer {reply['key_secret']}"})
                    minted.append(reply["id"])

        loads = [threading.Thread(target=load) for _ in range(2)]
        for one in loads:
            one.start()
        answered = []
        for number in range(3):
            answered.append([*minted])
            made("backup", tmp_path / f"{number}", "--database", url(live.database))
        ended.set()
        for one in loads:
            one.join()
    for number, before in enumerate(answered):
        target = place.with_name(f"{number}.db")
        made("restore", tmp_path / f"{number}", "--database", url(target), "--old", live.database, "--yes")
        with closing(sqlite3.connect(target)) as connection:
            held = {key_id for (key_id,) in connection.execute("SELECT id FROM keys")}
        assert set(before) <= held


def spent(live: Live, key: dict[str, Any]) -> list[int]:
    return [live.call("GET", "/v1/devboxes", key["key_secret"]).status_code for _ in range(3)]


def test_uses_that_were_spent_after_the_backup_do_not_come_back(
    upstream: Recorder, new_directory: Callable[[], Path], place: Path
) -> None:
    with Live(new_directory(), upstream=upstream.url) as live:
        key = live.mint("devboxes:read", restrictions={"uses": 2})
        words = ("--database", url(live.database))
        made("backup", live.directory / "backup", *words)
        assert spent(live, key) == [200, 200, 403]
    export = live.directory / "export.jsonl"
    export.write_text(keyscope("audit", "export", *words).stdout)
    restoring = ("restore", live.directory / "backup", "--yes", "--database")
    made(*restoring, url(place), "--old", live.database)
    with Live(place.parent, upstream=upstream.url, options=["--database", url(place)]) as again:
        assert spent(again, key) == [403, 403, 403]
    other = new_directory() / "keyscope.db"
    assert "suspended" in made(*restoring, url(other), "--old", export)
    with Live(other.parent, upstream=upstream.url) as again:
        assert spent(again, key) == [401, 401, 401]


def test_a_first_key_that_was_made_beforehand_is_the_first_key(new_directory: Callable[[], Path]) -> None:
    first = made("first-key").strip()
    assert first != made("first-key").strip()
    with Live(new_directory(), environment={"KEYSCOPE_BOOTSTRAP_KEY": first}) as live:
        live.first = first
        assert live.call("GET", "/keyscope/me").json()["kind"] == "standard"
