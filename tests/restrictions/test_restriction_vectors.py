"""The vectors of restrictions: their one spelling, what is none, and what is decided."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from keyscope.model.decision import Deny
from keyscope.model.key import Lineage
from keyscope.model.restrictions import InvalidRestrictions, Restrictions
from tests.restrictions.making import a_key, judged

FILE = Path(__file__).parents[1] / "vectors" / "restrictions.json"
VECTORS: dict[str, list[dict[str, Any]]] = json.loads(FILE.read_text("utf-8"))


def rows(kind: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "row", VECTORS[kind], ids=[f"{row['number']} {row['name']}" for row in VECTORS[kind]]
    )


@rows("spelled")
def test_restrictions_have_one_text(row: dict[str, Any]) -> None:
    found = Restrictions.parse(row["given"])
    assert found.text == row["text"]
    assert Restrictions.from_text(row["text"]) == found
    sorted_by_anybody = json.dumps(json.loads(row["text"]), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    assert sorted_by_anybody == row["text"]


@rows("refused")
def test_what_is_none_is_refused_where_it_is_wrong(row: dict[str, Any]) -> None:
    with pytest.raises(InvalidRestrictions) as caught:
        Restrictions.parse(row["given"])
    assert [fault.path for fault in caught.value.faults] == row["at"]


@rows("decided")
def test_a_call_is_decided_as_written(row: dict[str, Any]) -> None:
    seen = {name: row[name] for name in ("peer", "now_ms") if name in row}
    decision = judged(Lineage(a_key(restrictions=row["restrictions"])), row["call"], row["body"], **seen)
    reasons = [reason.value for reason in decision.reasons] if isinstance(decision, Deny) else []
    assert (not isinstance(decision, Deny), reasons) == (row["allowed"], row["reasons"])
