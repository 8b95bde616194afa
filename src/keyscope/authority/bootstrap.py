"""The first account and its first standard key, made once on an empty store."""

from __future__ import annotations

from msgspec import Struct

from keyscope.authority.mint import Wanted, minted_event, record
from keyscope.authority.ports import Account, Clock, Entropy, Store, Writer
from keyscope.model.event import Event, EventKind, Origin
from keyscope.model.ident import RANDOM_BYTES, format_id
from keyscope.model.key import Key
from keyscope.model.secret import Secret
from keyscope.model.token import SECRET_BYTES, Kind, format_token


class FirstKey(Struct, frozen=True):
    """The first key and its secret."""

    key: Key
    secret: Secret


def bootstrap(store: Store, clock: Clock, entropy: Entropy, given: Secret | None = None) -> FirstKey | None:
    """On a store without an account: make one and its first ``ak_`` key, the given one or a random one.

    Returns None, and changes nothing, if the store has an account. ``given`` must be the text of a standard key.
    """

    def work(writer: Writer) -> FirstKey | None:
        if writer.accounts():
            return None
        now_ms = clock.now_ms()
        account = Account(format_id("acct", now_ms, entropy.random_bytes(RANDOM_BYTES)), "default", now_ms)
        secret = given if given is not None else format_token(Kind.STANDARD, entropy.random_bytes(SECRET_BYTES))
        key = record(Wanted(kind=Kind.STANDARD, name="first key"), secret, account.id, None, now_ms, entropy)
        writer.add_account(account)
        writer.add_event(Event(kind=EventKind.ACCOUNT_CREATED, at_ms=now_ms, account_id=account.id))
        writer.add_key(key)
        writer.add_event(minted_event(key, Origin()))
        return FirstKey(key, secret)

    return store.write(work)
