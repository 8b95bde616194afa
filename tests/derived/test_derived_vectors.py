"""The vectors of derived keys, held against Keyscope, against the plain standard library, and against Node."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from keyscope.model.derived import (
    attenuate,
    bounds_of,
    last_id,
    narrowing,
    parse_derived,
    share_of,
    verify_derived,
)
from keyscope.model.key import NEVER_MS
from keyscope.model.restrictions import Restrictions
from keyscope.model.secret import Secret
from tests.derived import straight
from tests.programs import program, requires_program

FILE = Path(__file__).parents[1] / "vectors" / "derived.json"
VECTORS: dict[str, list[dict[str, Any]]] = json.loads(FILE.read_text("utf-8"))


def rows(kind: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", VECTORS[kind], ids=[row["name"] for row in VECTORS[kind]])


def share(row: dict[str, Any]) -> bytes:
    return bytes.fromhex(row["share_hex"])


@rows("genuine")
def test_a_genuine_key_is_verified_and_narrows_as_written(row: dict[str, Any]) -> None:
    derived = parse_derived(row["text"].encode())
    assert share_of(Secret(row["root"])) == share(row)
    assert list(verify_derived(derived, share(row)) or ()) == row["ids"]
    assert last_id(row["text"]) == row["ids"][-1]
    grant, ends = narrowing(derived)
    assert (sorted(map(str, grant)) if grant is not None else None) == row["scopes"]
    assert (None if ends == NEVER_MS else ends) == row["ends_at_ms"]
    bounds = {bound.holder: bound.restrictions.plain for bound in bounds_of(derived, tuple(row["ids"]))}
    links = zip(row["ids"], row["links"], strict=True)
    assert bounds == {name: link["restrictions"] for name, link in links if "restrictions" in link}


@pytest.mark.parametrize(
    "row", [row for row in VECTORS["genuine"] if "asks for more" not in row["name"]], ids=lambda row: row["name"]
)
def test_the_same_limits_give_the_same_text(row: dict[str, Any]) -> None:
    key = row["root"]
    for members in row["links"]:
        restrictions = Restrictions.parse(members["restrictions"]) if "restrictions" in members else None
        key = attenuate(key, **{**members, "restrictions": restrictions}).reveal()
    assert key == row["text"]


@rows("refused")
def test_what_is_not_in_the_one_form_is_refused(row: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^(this is not a|this|a) derived key") as refusal:
        parse_derived(row["text"].encode())
    assert len(row["text"]) <= len("dk_") or row["text"] not in str(refusal.value)


@rows("forged")
def test_a_forged_chain_is_refused(row: dict[str, Any]) -> None:
    assert verify_derived(parse_derived(row["text"].encode()), share(row)) is None


@rows("genuine")
def test_the_plain_standard_library_agrees(row: dict[str, Any]) -> None:
    links = [straight.caveat(**members) for members in row["links"]]
    assert [link.decode() for link in links] == row["links_json"]
    assert straight.derive(row["root"], links) == row["text"]
    assert straight.share(row["root"]) == share(row)
    assert straight.ids(row["text"], share(row)) == row["ids"]


@rows("forged")
def test_the_plain_standard_library_refuses_the_forged(row: dict[str, Any]) -> None:
    assert straight.ids(row["text"], share(row)) is None


@requires_program("node")
def test_node_agrees() -> None:
    script = Path(__file__).with_name("check.mjs")
    done = subprocess.run([program("node"), script, FILE], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {kind: len(VECTORS[kind]) for kind in ("genuine", "forged")}
