"""Restrictions in plain words, and as they are typed into a form: one a line."""

from __future__ import annotations

from collections.abc import Iterator

from keyscope.console.kit import Form
from keyscope.console.words import count, listed, moment
from keyscope.errors import BadRequest, Fault
from keyscope.model.body import Json
from keyscope.model.restriction.calls import Hold
from keyscope.model.restriction.things import Own
from keyscope.model.restriction.times import DAYS, Window
from keyscope.model.restriction.typed import read_typed, typed
from keyscope.model.restrictions import InvalidRestrictions, Restrictions
from keyscope.wire.codec import decode_strict

FIELD = "restrictions"
_DAY_NAMES = dict(
    zip(DAYS, ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays"), strict=True)
)


def typed_in(form: Form) -> Json:
    """What was typed, as JSON; None if nothing was. Raises BadRequest for what is none of the forms."""
    lines = [line for line in form.get(FIELD, "").splitlines() if line.strip()]
    try:
        return read_typed(lines, decode_strict)
    except ValueError as error:
        raise BadRequest(FIELD, [Fault(FIELD, str(error))]) from None


def chosen(form: Form) -> Restrictions | None:
    """What the form comes to; None if there is nothing sound in it yet."""
    try:
        found = typed_in(form)
        return Restrictions.parse(found) if found is not None else None
    except (BadRequest, InvalidRestrictions):
        return None


def lines_of(restrictions: Restrictions | None) -> str:
    """As they would be typed."""
    return "\n".join(typed(restrictions)) if restrictions is not None else ""


def sentences(restrictions: Restrictions | None) -> Iterator[str]:
    """One for each restriction."""
    if restrictions is None:
        return
    for resource, names in restrictions.instances.names if restrictions.instances is not None else ():
        yield f"Of {resource.replace('_', ' ')} it reaches only {listed([*names])}."
    if restrictions.own is not None:
        yield _own(restrictions.own)
    if restrictions.deny is not None:
        yield f"It never calls {listed([*restrictions.deny.names])}."
    if restrictions.cidrs is not None:
        yield f"It is used only from {listed([*restrictions.cidrs.texts])}."
    yield from _times(restrictions)
    yield from _counts(restrictions)
    if restrictions.hold is not None:
        yield _hold(restrictions.hold)


def _own(own: Own) -> str:
    what = "everything" if own.only is None else listed([name.replace("_", " ") for name in own.only])
    return f"Of {what} it reaches only what it, or a key below it, has made."


def _times(restrictions: Restrictions) -> Iterator[str]:
    if restrictions.not_before_ms is not None:
        yield f"It is good from {moment(restrictions.not_before_ms)} on."
    if restrictions.window is not None:
        yield _window(restrictions.window)


def _window(window: Window) -> str:
    said = window.plain if isinstance(window.plain, dict) else {}
    days = listed([_DAY_NAMES[DAYS[day]] for day in window.days]) if window.days is not None else "every day"
    return f"It is good from {said['from']} to {said['to']} by the clock of {window.timezone}, {days}."


def _counts(restrictions: Restrictions) -> Iterator[str]:
    if restrictions.uses is not None:
        yield f"It makes {count(restrictions.uses, 'call')} in all, those of the keys below it included."
    if restrictions.rate is not None:
        yield f"It makes at most {count(restrictions.rate.requests, 'call')} in any {restrictions.rate.per_ms:,} ms."
    if restrictions.parallel is not None:
        yield f"It has at most {count(restrictions.parallel, 'call')} under way at once."


def _hold(hold: Hold) -> str:
    what = "whatever destroys something" if hold.operations is None else listed([*hold.operations])
    if hold.delay_ms is not None:
        return f"It waits {hold.delay_ms:,} ms before {what}, and may be stopped until then."
    return f"It waits for approval before {what}, for at most {hold.deadline_ms or 0:,} ms."
