"""The format describes any API: GitHub's issues, with their own resource types."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyscope.model.scope import Grant, Scope
from keyscope.policy import openapi
from keyscope.policy.check import check, lint
from keyscope.policy.document import load

DOCUMENT = Path(__file__).parent.parent / "data" / "openapi" / "github-issues.yaml"


def test_the_policy_has_its_own_resource_types() -> None:
    assert load("github-issues").resource_names == ("issues", "labels", "milestones")


def test_the_check_against_the_document_finds_nothing() -> None:
    report = check(load("github-issues"), openapi.read(str(DOCUMENT)))
    assert report.findings == ()
    assert report.operations == 21


@pytest.mark.parametrize(
    ("method", "path", "identifier", "needs"),
    [
        ("GET", "/repos/o/r/issues/7", "issues/get", "issues:read"),
        ("GET", "/repos/o/r/issues/comments", "issues/list-comments-for-repo", "issues:read"),
        ("DELETE", "/repos/o/r/labels/bug", "issues/delete-label", "labels:write"),
        ("PUT", "/repos/o/r/issues/7/lock", "issues/lock", "issues:write"),
        ("POST", "/repos/o/r/issues/7/labels", "issues/add-labels", "issues:write labels:read"),
        ("GET", "/repos/o/r/issues/comments/comments", "issues/get-comment+issues/list-comments", "issues:read"),
    ],
)
def test_calls_are_matched(method: str, path: str, identifier: str, needs: str) -> None:
    found = load("github-issues").table().find(method, path)
    assert found is not None
    assert set(found.id.split("+")) == set(identifier.split("+"))
    assert " ".join(map(str, found.needs)) == needs


def test_opening_an_issue_with_a_milestone_needs_to_read_milestones() -> None:
    found = load("github-issues").table().find("POST", "/repos/o/r/issues")
    assert found is not None
    grant = Grant([Scope.parse("issues:write")])
    assert grant.missing(found.needs_with({"title": "t", "milestone": None})) == ()
    assert grant.missing(found.needs_with({"title": "t", "milestone": 3})) == (Scope.parse("milestones:read"),)


def test_a_path_with_a_parameter_never_stands_in_for_a_literal_one() -> None:
    # PATCH /issues/{issue_number} would match /issues/comments, whose own template takes no PATCH.
    assert load("github-issues").table().find("PATCH", "/repos/o/r/issues/comments") is None


def test_every_overlap_is_listed() -> None:
    assert [str(overlap).partition(":")[0] for overlap in lint(load("github-issues")).overlaps] == [
        "literal wins",
        "true tie",
        "true tie",
        "true tie",
    ]
