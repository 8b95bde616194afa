"""The section ``ends`` of a policy: read whole, or refused with what to do."""

from __future__ import annotations

import pytest

from keyscope.errors import ConfigurationError
from keyscope.model.operation import Operation
from keyscope.policy.document import load, parse

ROWS = """
policy: farm
title: Farm
resource_types: {jobs: Jobs, logs: Logs}
operations:
  - {id: readJob, call: "GET /v1/jobs/{id}", needs: [jobs:read]}
  - {id: listJobs, call: "GET /v1/jobs", needs: [jobs:read]}
  - {id: stopJob, call: "POST /v1/jobs/{id}/stop", needs: [jobs:write], destroys: jobs}
  - {id: clearLog, call: "POST /v1/jobs/{id}/clear", needs: [logs:write], destroys: logs}
  - {id: stopAll, call: "POST /v1/jobs/stop", needs: [jobs:write], destroys: jobs}
"""
ENDS = 'ends: {jobs: {one: "/v1/jobs/{id}", in: [readJob], at: $.state, when: [done]}}'


def signs(rows: tuple[Operation, ...]) -> dict[str, str | None]:
    return {row.id: str(row.sign.at) if row.sign.at is not None else None for row in rows if row.sign is not None}


def test_rows_that_read_one_or_end_one_give_the_sign() -> None:
    policy = parse(ROWS + ENDS, "farm")
    assert signs(policy.operations) == {"readJob": "$.state", "stopJob": None}
    stop = next(row for row in policy.operations if row.id == "stopJob")
    assert stop.sign is not None
    assert stop.sign.instance("/v1/jobs/job_7/stop") == "job_7"


def test_without_the_section_no_row_gives_one() -> None:
    assert not parse(ROWS, "farm").shows_ends


def test_runloops_devboxes_end_by_shutdown_and_by_two_words() -> None:
    policy = load("runloop")
    assert signs(policy.operations) == {
        "getDevbox": "$.status",
        "waitForDevboxStatus": "$.status",
        "shutdownDevbox": None,
    }
    words = {row.sign.words for row in policy.operations if row.sign is not None and row.sign.at is not None}
    assert words == {("shutdown", "failure")}


@pytest.mark.parametrize(
    ("ends", "fault"),
    [
        ("ends: {}", "Name one resource type"),
        ("ends: {job: {}}", "'job' is not a resource type of this policy: did you mean 'jobs'?"),
        (ENDS.replace("readJob", "readJop"), "'readJop' is not a row of this policy: did you mean 'readJob'?"),
        (ENDS.replace("readJob", "listJobs"), "is not at or below the path of one"),
        (ENDS.replace("/{id}", ""), "write a path that ends with its id"),
        (ENDS.replace("$.state", "state"), "is not a path: it starts with $"),
        (ENDS.replace("one:", "of:"), "'of' is not a member here"),
        ('ends: {logs: {one: "/v1/logs/{id}", in: [], at: $.state, when: [done]}}', "No row gives a sign"),
    ],
)
def test_what_says_nothing_is_a_fault(ends: str, fault: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse(ROWS + ends, "farm")
    assert fault in " ".join(found.message for found in refused.value.faults)


@pytest.mark.parametrize(
    ("caps", "fault"),
    [("{ttl: hours}", "'hours' is not a unit"), ('{"a=b": seconds}', "not the name of a query parameter")],
)
def test_a_cap_names_a_query_parameter_and_its_unit(caps: str, fault: str) -> None:
    row = '  - {id: link, call: "GET /v1/links/{id}", needs: [logs:read], caps: ' + caps + "}\n"
    with pytest.raises(ConfigurationError) as refused:
        parse(ROWS + row, "farm")
    assert fault in refused.value.faults[0].message
