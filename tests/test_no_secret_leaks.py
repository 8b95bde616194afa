"""Law 5, after the whole suite: no key's text stands in any file that a server wrote (log, database, WAL, marker).

Runs last (conftest.py). Every text with a key's shape and a right checksum counts, whoever minted it.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from keyscope.derive import attenuate
from keyscope.model.derived import is_derived
from keyscope.model.token import Kind, format_token, is_token
from tests.live import Live

SHAPE = re.compile(rb"[ar]k_[0-9A-Za-z]{49}")
DERIVED = re.compile(rb"dk_[0-9A-Za-z_-]{137,}")


def found_in(folder: Path) -> list[str]:
    """The files below a folder that hold a key's text."""
    return [path.name for path in folder.rglob("*") if path.is_file() and holds_a_key(path.read_bytes())]


def holds_a_key(content: bytes) -> bool:
    plain = any(is_token(text) for text in SHAPE.findall(content))
    return plain or any(is_derived(text) for text in DERIVED.findall(content))


def test_the_search_finds_a_secret_where_there_is_one(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"x" + format_token(Kind.RESTRICTED, bytes(32)).reveal().encode() + b"y")
    assert found_in(tmp_path) == ["log"]
    derived = attenuate(format_token(Kind.RESTRICTED, bytes(32)).reveal(), scopes=["devboxes:read"])
    (tmp_path / "log").write_bytes(b"x " + derived.encode() + b" y")
    assert found_in(tmp_path) == ["log"]


def test_no_file_of_any_server_holds_a_secret(work: Path, live: Live) -> None:
    made = live.mint("devboxes:read")
    for method, path in (("GET", "/v1/devboxes"), ("POST", "/v1/devboxes"), ("GET", "/nowhere")):
        live.call(method, path, made["key_secret"])
    live.call("GET", f"/v1/devboxes?access_token={made['key_secret']}", "")
    live.call("POST", "/v1/restricted_keys", content=made["key_secret"].encode())
    derived = attenuate(made["key_secret"], scopes=["devboxes:read"], label="seen")
    for path in ("/keyscope/me", f"/v1/devboxes?key={derived}", "/nowhere"):
        live.call("GET", path, derived)
    live.call("POST", f"/v1/restricted_keys/{made['id']}/rotate", json={"overlap_ms": 1000})
    assert live.database.with_name("keyscope.db-wal").exists()
    assert len(list(work.rglob("*"))) > 3
    assert found_in(work) == []


def test_no_exception_text_or_warning_holds_a_secret(tmp_path: Path) -> None:
    secret = format_token(Kind.STANDARD, bytes(range(32))).reveal()
    wrong = [secret[:-1], secret + "0", secret.replace("ak_", "rk_")]
    for text in wrong:
        done = subprocess.run(
            [sys.executable, "-m", "keyscope", "serve", "--port", "1"],
            env={"KEYSCOPE_BOOTSTRAP_KEY": text, "KEYSCOPE_UPSTREAM_KEY": f"{secret} x"},
            cwd=tmp_path,
            capture_output=True,
            timeout=60,
        )
        assert done.returncode == 2
        assert secret[3:40].encode() not in done.stdout + done.stderr
