"""Restrictions as they are given: what is not known is refused, every fault at once, with its place and the remedy."""

from __future__ import annotations

import pytest

from keyscope.model.body import Json
from keyscope.model.restrictions import InvalidRestrictions, Restrictions

WHOLE: Json = {
    "instances": {"devboxes": ["dbx_b", "dbx_a", "ci-*", "dbx_a"], "objects": ["obj_1"]},
    "own": ["snapshots", "devboxes"],
    "cidrs": ["10.0.0.0/8", "192.0.2.7", "2001:DB8:0::/32"],
    "not_before_ms": 1_800_000_000_000,
    "window": {"from": "22:00", "to": "06:00", "timezone": "Europe/Berlin", "days": ["tue", "mon"]},
    "uses": 50,
    "rate": {"requests": 100, "per_ms": 60_000},
    "parallel": 4,
    "deny": ["shutdownDevbox", "DELETE"],
    "hold": {"operations": ["deleteObject"], "deadline_ms": 60_000},
}

TEXT = (
    '{"cidrs":["10.0.0.0/8","192.0.2.7/32","2001:db8::/32"],"deny":["DELETE","shutdownDevbox"],'
    '"hold":{"deadline_ms":60000,"operations":["deleteObject"]},'
    '"instances":{"devboxes":["ci-*","dbx_a","dbx_b"],"objects":["obj_1"]},"not_before_ms":1800000000000,'
    '"own":["devboxes","snapshots"],"parallel":4,"rate":{"per_ms":60000,"requests":100},"uses":50,'
    '"window":{"days":["mon","tue"],"from":"22:00","timezone":"Europe/Berlin","to":"06:00"}}'
)


def test_all_kinds_together_have_one_text() -> None:
    found = Restrictions.parse(WHOLE)
    assert found.text == TEXT
    assert Restrictions.from_text(TEXT) == found
    assert len(found.each) == 10


def test_none_are_no_restrictions() -> None:
    assert not Restrictions.parse({})
    assert Restrictions.parse({}).text == "{}"


LIST = "send a list of 1 to 200 items here, or leave it out"
NETWORK = "this is no network: send one like 10.1.0.0/16 or 2001:db8::/32"
MAPPED = "this is an IPv4 network in IPv6 form: send it as IPv4, like 10.1.0.0/16"
WHOLE_NUMBER = "send a whole number from 1 to 9007199254740991"
METHOD = "send the id of an operation, or a method: DELETE, GET, PATCH, POST, PUT"
EITHER = "send either deadline_ms, to ask somebody, or delay_ms, to wait and go on"
TIME = "send a time of the day as HH:MM, from 00:00 to 24:00"
ZONE = "there is no such time zone: send a name like Europe/Berlin, or UTC"
SAME = "from and to are the same time: leave the window out, or write 00:00 to 24:00 for whole days"
OBJECT = "send an object here"


@pytest.mark.parametrize(
    ("given", "faults"),
    [
        ({"use": 1}, {".use": "there is no such restriction; did you mean uses?"}),
        ({"own": False}, {".own": "send true or a list of resource types, or leave it out"}),
        ({"own": []}, {".own": LIST}),
        ({"own": ["Devboxes"]}, {".own[0]": "this is no resource type: use a-z, 0-9 and _, a letter first"}),
        ({"instances": {}}, {".instances": "name a resource type and its instances, or leave it out"}),
        ({"instances": {"devboxes": ""}}, {".instances.devboxes": LIST}),
        ({"instances": {"devboxes": ["\n"]}}, {".instances.devboxes[0]": "send 1 to 256 printable characters here"}),
        ({"cidrs": ["10.0.0.1/8"]}, {".cidrs[0]": f"{NETWORK}; did you mean 10.0.0.0/8?"}),
        ({"cidrs": ["localhost"]}, {".cidrs[0]": NETWORK}),
        ({"cidrs": ["::ffff:10.0.0.0/104"]}, {".cidrs[0]": MAPPED}),
        ({"uses": True, "parallel": 0}, {".uses": WHOLE_NUMBER, ".parallel": "send a whole number from 1 to 10000"}),
        ({"uses": 1.0}, {".uses": WHOLE_NUMBER}),
        ({"rate": {"requests": 1}}, {".rate": "per_ms is missing: add it"}),
        ({"rate": 5}, {".rate": OBJECT}),
        ({"deny": ["HEAD"]}, {".deny[0]": METHOD}),
        ({"hold": {}}, {".hold": EITHER}),
        ({"hold": {"deadline_ms": 1, "delay_ms": 1}}, {".hold": EITHER}),
        (
            {"window": {"from": "9:00", "to": "24:01", "timezone": "Berlin", "days": ["monday"]}},
            {
                ".window.from": TIME,
                ".window.to": TIME,
                ".window.timezone": ZONE,
                ".window.days[0]": "send one of mon, tue, wed, thu, fri, sat, sun",
            },
        ),
        ({"window": {"from": "09:00", "to": "10:00", "timezone": "../../etc/passwd"}}, {".window.timezone": ZONE}),
        ({"window": {"from": "09:00", "to": "09:00", "timezone": "UTC"}}, {".window": SAME}),
        (None, {"": OBJECT}),
        ([], {"": OBJECT}),
    ],
)
def test_what_is_wrong_is_named_with_its_place_and_the_remedy(given: Json, faults: dict[str, str]) -> None:
    with pytest.raises(InvalidRestrictions) as caught:
        Restrictions.parse(given)
    assert dict(caught.value.faults) == {f"$.restrictions{place}": message for place, message in faults.items()}
