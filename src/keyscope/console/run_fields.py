"""What a key is to die with, from a form: a devbox by its id, a lease by its length, both or nothing."""

from __future__ import annotations

from keyscope.console.kit import Form
from keyscope.errors import BadRequest, Fault
from keyscope.model.body import Json
from keyscope.model.restriction.typed import duration_ms

DEVBOX, LEASE = "devbox", "lease"


def typed_run(form: Form) -> Json:
    """As the API takes it; None if nothing was typed. Raises BadRequest for a lease that is no length of time."""
    devbox, lease = (form.get(name, "").strip() for name in (DEVBOX, LEASE))
    run: dict[str, Json] = {"devbox_id": devbox} if devbox else {}
    if lease:
        run["lease_ms"] = _length_ms(lease)
    return run or None


def _length_ms(text: str) -> int:
    try:
        return duration_ms(text)
    except ValueError as error:
        raise BadRequest(LEASE, [Fault(LEASE, str(error))]) from None
