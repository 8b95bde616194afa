"""What an account decides about its webhooks. Only a standard key may: whoever is told hears of every key."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from keyscope.authority.lookup import acting_standard
from keyscope.authority.ports import Clock, Entropy, Store, Writer
from keyscope.authority.webhooks import MOST_ENDPOINTS, Delivery, Endpoint, Outbox
from keyscope.errors import BadRequest, Fault, NotFound
from keyscope.model.event import Event, EventKind, Origin
from keyscope.model.ident import RANDOM_BYTES, format_id
from keyscope.model.key import Lineage
from keyscope.model.secret import Secret
from keyscope.webhooks.address import check_url
from keyscope.webhooks.signing import NONCE_BYTES, SECRET_BYTES, Sealer, new_secret

MOST_SHOWN = 100


class Webhooks:
    """Adds, lists, removes, and tries again. Every method raises StandardKeyRequired, DerivedKey, StoreUnavailable."""

    def __init__(
        self, store: Store, outbox: Outbox, sealer: Sealer, clock: Clock, entropy: Entropy, targets: str
    ) -> None:
        self._store = store
        self._outbox = outbox
        self._sealer = sealer
        self._clock = clock
        self._entropy = entropy
        self._targets = targets

    def add(self, caller: Lineage, url: str, kinds: Sequence[str], origin: Origin) -> tuple[Endpoint, Secret]:
        """A new endpoint and the secret that it checks messages with. Raises BadRequest for the URL, or too many."""
        check_url(url, self._targets)
        now_ms = self._clock.now_ms()
        endpoint_id = format_id("whk", now_ms, self._entropy.random_bytes(RANDOM_BYTES))
        secret = new_secret(self._entropy.random_bytes(SECRET_BYTES))
        endpoint = Endpoint(
            id=endpoint_id,
            account_id=caller.key.account_id,
            url=url,
            kinds=tuple(dict.fromkeys(kinds)),
            sealed=self._sealer.seal(endpoint_id, secret, self._entropy.random_bytes(NONCE_BYTES)),
            created_at_ms=now_ms,
        )
        self._record(caller, EventKind.WEBHOOK_ADDED, endpoint, origin)
        if not self._outbox.add_endpoint(endpoint):
            raise BadRequest("webhooks", [Fault("url", f"an account has at most {MOST_ENDPOINTS}; remove one first")])
        return endpoint, secret

    def all(self, caller: Lineage) -> list[Endpoint]:
        """Oldest first."""
        self._check(caller)
        return self._outbox.endpoints(caller.key.account_id)

    def remove(self, caller: Lineage, endpoint_id: str, origin: Origin) -> None:
        """Forget an endpoint and all that it was still to be told. Raises NotFound."""
        endpoint = self._find(caller, endpoint_id)
        self._record(caller, EventKind.WEBHOOK_REMOVED, endpoint, origin)
        self._outbox.remove_endpoint(endpoint.account_id, endpoint.id)

    def dead(self, caller: Lineage) -> list[Delivery]:
        """What was given up, newest first, a hundred at most."""
        self._check(caller)
        return self._outbox.dead(caller.key.account_id, MOST_SHOWN)

    def retry(self, caller: Lineage, endpoint_id: str) -> int:
        """Try again what was given up. Returns how many. Raises NotFound."""
        endpoint = self._find(caller, endpoint_id)
        return self._outbox.retry(endpoint.account_id, endpoint.id, self._clock.now_ms())

    def _find(self, caller: Lineage, endpoint_id: str) -> Endpoint:
        for endpoint in self.all(caller):
            if endpoint.id == endpoint_id:
                return endpoint
        raise NotFound(endpoint_id)

    def _check(self, caller: Lineage) -> None:
        self._store.read(lambda reader: acting_standard(reader, caller, self._clock.now_ms()))

    def _record(self, caller: Lineage, kind: EventKind, endpoint: Endpoint, origin: Origin) -> None:
        """In the account's changes, without what follows the host: it may hold a secret of the receiver's."""
        parts = urlsplit(endpoint.url)
        changes: dict[str, object] = {"webhook_id": endpoint.id, "at": f"{parts.scheme}://{parts.hostname}"}

        def work(writer: Writer) -> None:
            now_ms = self._clock.now_ms()
            account_id = acting_standard(writer, caller, now_ms).key.account_id
            writer.add_event(Event(kind=kind, at_ms=now_ms, account_id=account_id, origin=origin, changes=changes))

        self._store.write(work)
