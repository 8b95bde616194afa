"""The clients send a request again when its answer is lost; that never makes a second key."""

from __future__ import annotations

import pytest

from tests.live import Live
from tests.sdk.clients import Call, Client
from tests.sdk.relay import Relay


@pytest.mark.parametrize("resource", ["restricted_keys", "apikeys"])
def test_a_lost_answer_costs_no_second_key(client: Client, live: Live, resource: str) -> None:
    name = f"lost-{client.name}-{client.asynchronous}"
    with Relay(live.port, lose=1) as relay:
        call = Call(f"{client.resource(resource)}.create", live.first, arguments={"name": name})
        [outcome] = client.run(relay.url, [call])
    assert outcome.error is None, outcome.text
    assert relay.requests == 2
    assert relay.lost == [outcome.reply["key_secret"]], "the same secret in both answers"
    rows = live.call("GET", f"/v1/{resource}", params={"name": name}).json()
    assert rows["total_count"] == 1
