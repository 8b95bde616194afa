"""What a new key is to die with, as it was asked for."""

from __future__ import annotations

from keyscope.api.requests import BindToRun
from keyscope.errors import BadRequest, Fault
from keyscope.model.run import Run
from keyscope.policy.document import Policy


def run_asked(asked: BindToRun | None, policy: Policy) -> Run | None:
    """The run; None if none was asked for. Raises BadRequest where the end of a devbox would never be seen."""
    if asked is None:
        return None
    if asked.devbox_id is not None and not policy.shows_ends:
        remedy = "the policy does not say how the end of one is seen: give lease_ms, or add the section ends to it"
        raise BadRequest("no ends", [Fault("$.run.devbox_id", remedy)])
    return asked.run()
