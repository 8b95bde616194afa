"""What a search finds in streams, files and git, in process."""

from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path

import pytest

from keyscope.derive import attenuate
from keyscope.model.token import Kind, format_token
from keyscope.scan.files import scan_path
from keyscope.scan.findings import Findings, Place
from keyscope.scan.history import scan_history
from keyscope.scan.stream import sightings


def new_key() -> str:
    return format_token(Kind.RESTRICTED, os.urandom(32)).reveal()


KEY, OTHER = new_key(), new_key()
LONG = attenuate(KEY, scopes=[f"type{n}:read" for n in range(60)], label="x" * 200)


def git(place: Path, *words: str) -> str:
    who = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.com", "-c", "init.defaultBranch=main"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(["git", "-C", str(place), *who, *words], check=True, capture_output=True, env=clean)
    return done.stdout.decode().strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    place = tmp_path / "repository"
    place.mkdir()
    git(place, "init", "-q")
    return place


def commit(place: Path, message: str, **files: str) -> str:
    for name, content in files.items():
        (place / name).write_text(content)
        git(place, "add", name)
    git(place, "commit", "-q", "--allow-empty", "-m", message)
    return git(place, "rev-parse", "HEAD")


def history(place: Path) -> dict[str, list[Place]]:
    findings = Findings()
    scan_history(place / ".git", findings)
    assert findings.troubles == []
    return places(findings)


def places(findings: Findings) -> dict[str, list[Place]]:
    return {leak.secret.reveal(): leak.places for leak in findings.leaks}


@pytest.mark.parametrize("key", [KEY, LONG], ids=["short", "long"])
@pytest.mark.parametrize("encoding", ["ascii", "utf-16-le"])
def test_a_key_across_the_border_of_two_pieces_is_found_once(key: str, encoding: str) -> None:
    raw = key.encode(encoding)
    piece = 20_000
    for at in range(piece - len(raw) - 2, piece + 3, max(1, len(raw) // 9)):
        content = b"\n" * at + raw + b"\n" * piece * 2
        [seen] = sightings(io.BytesIO(content), piece)
        assert (seen.text.decode(), seen.line) == (key, at + 1)


def test_lines_are_counted_through_all_pieces() -> None:
    content = (b"x" * 99 + b"\n") * 1000 + KEY.encode() + b"\n" * 70_000 + OTHER.encode()
    assert [seen.line for seen in sightings(io.BytesIO(content), 10_000)] == [1001, 71_001]


def test_an_empty_stream_has_no_key() -> None:
    assert list(sightings(io.BytesIO())) == []


def test_binary_files_are_looked_into_and_links_are_not_followed(tmp_path: Path) -> None:
    below = tmp_path / "top" / "below"
    below.mkdir(parents=True)
    outside = tmp_path / "outside"
    outside.write_text(OTHER)
    (below / "program").write_bytes(bytes(range(256)) * 50 + KEY.encode() + b"\0\0")
    (below / "link").symlink_to(outside)
    (below / "loop").symlink_to(tmp_path / "top")
    os.mkfifo(below / "pipe")
    findings = Findings()
    assert scan_path(tmp_path / "top", findings) == []
    assert places(findings) == {KEY: [Place(path=str(below / "program"), line=51)]}
    assert (findings.files, findings.troubles) == (1, [])


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    findings = Findings()
    scan_path(tmp_path / "nowhere", findings)
    assert [str(trouble) for trouble in findings.troubles] == [
        f"{tmp_path}/nowhere: there is no such file or directory"
    ]


def test_the_oldest_commit_with_a_key_is_named_though_it_is_long_gone(repository: Path) -> None:
    commit(repository, "nothing yet", readme="hello\n")
    first = commit(repository, "oh no", config=f"a\nb={KEY}\n")
    commit(repository, "more", config=f"a\nc\nb={KEY}\n", copy=f"{KEY}\n")
    commit(repository, "gone", config="a\n", copy="\n")
    git(repository, "gc", "-q", "--aggressive")
    [place] = history(repository)[KEY]
    assert (place.path, place.line, place.commit, place.versions) == (str(repository / "config"), 2, first, 3)


def test_all_branches_merges_messages_tags_and_lost_commits_are_looked_into(repository: Path) -> None:
    in_branch, in_merge, in_message, in_tag, lost, dangling = (new_key() for _ in range(6))
    commit(repository, "start", a="a\n")
    git(repository, "checkout", "-q", "-b", "side")
    side = commit(repository, "side", b=in_branch)
    git(repository, "checkout", "-q", "main")
    said = commit(repository, f"message with {in_message}", c="c\n")
    git(repository, "merge", "-q", "--no-commit", "side")
    merge = commit(repository, "merge", evil=in_merge)
    git(repository, "tag", "-a", "v1", "-m", f"tag with {in_tag}")
    amended = commit(repository, "to be amended", d=lost)
    git(repository, "reset", "-q", "--hard", "HEAD~1")
    (repository / "loose").write_text(dangling)
    blob = git(repository, "hash-object", "-w", "loose")
    found = {key: place for key, [place] in history(repository).items()}
    assert {key: place.commit for key, place in found.items()} == {
        in_branch: side,
        in_merge: merge,
        in_message: said,
        in_tag: None,
        lost: amended,
        dangling: None,
    }
    assert found[dangling].object_id == blob
    assert str(found[dangling]).endswith(f"git object {blob}, in no commit")


def test_strange_names_are_printed_without_harm(repository: Path) -> None:
    name = f"a\n\x1b[31m {OTHER} é"
    commit(repository, "strange", **{name: KEY})
    [place] = history(repository)[KEY]
    assert OTHER not in str(place)
    assert f"a\\n\\x1b[31m rk_…{OTHER[-4:]} é:1" in str(place)


def test_a_bare_repository_and_one_inside_another_are_found(repository: Path, tmp_path: Path) -> None:
    commit(repository, "one", a=KEY)
    git(tmp_path, "clone", "-q", "--bare", str(repository), "bare.git")
    found = scan_path(tmp_path, Findings())
    assert found == [tmp_path / "bare.git", repository / ".git"]
    findings = Findings()
    scan_history(tmp_path / "bare.git", findings)
    assert [place.path for place in places(findings)[KEY]] == [str(tmp_path / "bare.git" / "a")]


def test_what_git_says_of_a_broken_repository_is_passed_on(repository: Path) -> None:
    commit(repository, "one", a=KEY)
    blob = git(repository, "rev-parse", "HEAD:a")
    damaged = repository / ".git" / "objects" / blob[:2] / blob[2:]
    damaged.chmod(0o600)
    damaged.write_bytes(b"junk")
    findings = Findings()
    scan_history(repository / ".git", findings)
    [trouble] = findings.troubles
    assert blob in trouble.why


def test_a_repository_starts_no_program_of_its_configuration(repository: Path, tmp_path: Path) -> None:
    commit(repository, "one", a=KEY)
    trap = tmp_path / "trap"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {trap}\n")
    program.chmod(0o700)
    for name in ("core.fsmonitor", "core.sshCommand", "core.pager", "diff.external", "gpg.program", "core.gitProxy"):
        git(repository, "config", name, str(program))
    git(repository, "config", "log.showSignature", "true")
    git(repository, "config", "remote.origin.url", f"ext::{program}")
    git(repository, "config", "remote.origin.promisor", "true")
    git(repository, "config", "extensions.partialClone", "origin")
    trap.unlink(missing_ok=True)
    assert KEY in history(repository)
    assert not trap.exists()
    tree = git(repository, "rev-parse", "HEAD^{tree}")  # which git would now fetch from where the configuration says
    (repository / ".git" / "objects" / tree[:2] / tree[2:]).unlink()
    trap.unlink(missing_ok=True)
    findings = Findings()
    scan_history(repository / ".git", findings)
    assert len(findings.troubles) == 1
    assert not trap.exists()


def test_no_memory_is_needed_for_a_large_file(tmp_path: Path) -> None:
    import tracemalloc

    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(200 << 20)
        file.seek(0, os.SEEK_END)
        file.write(KEY.encode())
    findings = Findings()
    tracemalloc.start()
    scan_path(large, findings)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert KEY in places(findings)
    assert peak < 16 << 20
