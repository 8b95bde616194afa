"""Laws of derived keys: attenuating never widens, and whatever is done to a chain without its secrets is refused."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import keyscope
from keyscope.derive import attenuate as derive
from keyscope.derive import derived_id
from keyscope.model import derived as module
from keyscope.model.derived import (
    MAX_LENGTH,
    MAX_LINKS,
    Derived,
    attenuate,
    bounds_of,
    is_derived,
    last_id,
    narrowing,
    parse_derived,
    share_of,
    verify_derived,
)
from keyscope.model.restrictions import Restrictions
from keyscope.model.scope import Grant, Scope
from keyscope.model.secret import Secret
from keyscope.model.token import Kind, format_token, is_token
from tests.derived import straight
from tests.laws.strategies import scope_sets, secrets
from tests.restrictions.making import restriction_sets

NONCE = "0123456789AB"
ROOT = format_token(Kind.RESTRICTED, bytes(32))

nonces = st.text("0123456789abcXYZ", min_size=12, max_size=12)
ends = st.integers(1, 2000)
scope_texts = scope_sets.map(lambda scopes: [str(scope) for scope in scopes])
members = st.fixed_dictionaries(
    {"nonce": nonces},
    optional={"scopes": scope_texts, "expires_at_ms": ends, "label": st.sampled_from(["build 42", "東京"])},
)
links = st.lists(members, min_size=1, max_size=5)
bound = restriction_sets.filter(bool).map(lambda one: Restrictions.parse(one))
bound_links = st.lists(st.tuples(members, st.none() | bound), min_size=1, max_size=4)


def chain_of(root: Secret, given_links: list[dict[str, Any]]) -> str:
    """A genuine key as a holder could make it who heeds nothing: a later link may ask for more."""
    return straight.derive(root.reveal(), [straight.caveat(**link) for link in given_links])


def opened(text: str, root: Secret) -> Derived | None:
    """The key, if a server that knows the root accepts it; None if it does not."""
    try:
        found = parse_derived(text.encode())
    except ValueError:
        return None
    return found if verify_derived(found, share_of(root)) is not None else None


def within(narrower: Derived, wider: Derived) -> bool:
    (grant, ends_ms), (above, ends_above) = narrowing(narrower), narrowing(wider)
    return ends_ms <= ends_above and (above is None or (grant is not None and grant.within(above)))


@given(secrets, secrets, links)
def test_a_chain_opens_with_its_own_root_and_no_other(root: Secret, other: Secret, made: list[dict[str, Any]]) -> None:
    text = chain_of(root, made)
    assert opened(text, root) is not None
    assert (opened(text, other) is not None) == (other.reveal() == root.reveal())


@given(secrets, links, members)
def test_another_link_never_widens_whatever_it_says(
    root: Secret, made: list[dict[str, Any]], more: dict[str, Any]
) -> None:
    text = chain_of(root, made)
    longer = straight.extend(text, straight.caveat(**more))
    before, after = opened(text, root), opened(longer, root)
    assert before is not None
    assert after is not None
    assert within(after, before)


@given(secrets, bound_links, members, bound)
def test_restrictions_of_links_stand_before_those_of_links_before_and_another_never_takes_one_away(
    root: Secret, made: list[tuple[dict[str, Any], Restrictions | None]], more: dict[str, Any], last: Restrictions
) -> None:
    written = [{**link, "restrictions": one.plain} if one is not None else link for link, one in made]
    text = chain_of(root, written)
    longer = straight.extend(text, straight.caveat(**more, restrictions=last.plain))
    before, after = opened(text, root), opened(longer, root)
    assert before is not None
    assert after is not None
    ids = verify_derived(after, share_of(root)) or ()
    held = bounds_of(after, ids)
    assert [one.restrictions for one in held] == [last, *(one for _, one in reversed(made) if one is not None)]
    assert [(one.holder, one.restrictions) for one in held[1:]] == [
        (one.holder, one.restrictions) for one in bounds_of(before, ids[:-1])
    ]


@given(secrets, links)
def test_a_chain_leaves_what_every_link_leaves(root: Secret, made: list[dict[str, Any]]) -> None:
    found = opened(chain_of(root, made), root)
    assert found is not None
    grant, ends_ms = narrowing(found)
    for link in made:
        assert ends_ms <= link.get("expires_at_ms", ends_ms)
        if "scopes" in link:
            assert grant is not None
            assert grant.within(Grant(map(Scope.parse, link["scopes"])))


@given(secrets, links, members)
def test_attenuate_gives_what_was_asked_for_or_refuses(
    root: Secret, made: list[dict[str, Any]], more: dict[str, Any]
) -> None:
    text = chain_of(root, made)
    parent = parse_derived(text.encode())
    grant, ends_ms = narrowing(parent)
    asked = tuple(map(Scope.parse, more.get("scopes", ())))
    widens = more.get("expires_at_ms", 0) > ends_ms or (grant is not None and bool(grant.missing(asked)))
    if widens:
        with pytest.raises(ValueError, match="cannot"):
            attenuate(text, **more)
        return
    child = opened(attenuate(text, **more).reveal(), root)
    assert child is not None
    assert child.caveats[:-1] == parent.caveats
    assert narrowing(child)[1] == min(ends_ms, more.get("expires_at_ms", ends_ms))
    assert narrowing(child)[0] == (Grant(asked) if "scopes" in more else grant)


@given(secrets, links, st.data())
def test_a_flipped_bit_is_refused_also_with_the_checksum_mended(
    root: Secret, made: list[dict[str, Any]], data: st.DataObject
) -> None:
    payload = bytearray(straight.payload_of(chain_of(root, made)))
    bit = data.draw(st.integers(0, len(payload) * 8 - 1))
    payload[bit // 8] ^= 1 << bit % 8
    assert opened(straight.text_of(bytes(payload)), root) is None


@given(secrets, links, st.data())
def test_a_changed_character_is_no_derived_key(root: Secret, made: list[dict[str, Any]], data: st.DataObject) -> None:
    text = chain_of(root, made)
    place = data.draw(st.integers(0, len(text) - 1))
    char = data.draw(st.sampled_from(straight.DIGITS + "-_+/= é\n"))
    changed = text[:place] + char + text[place + 1 :]
    assert is_derived(changed.encode()) == (changed == text)


@given(secrets, links, st.data())
def test_a_truncated_key_is_refused(root: Secret, made: list[dict[str, Any]], data: st.DataObject) -> None:
    payload = straight.payload_of(chain_of(root, made))
    kept = data.draw(st.integers(0, len(payload) - 1))
    assert opened(straight.text_of(payload[:kept]), root) is None
    assert opened(straight.text_of(payload[len(payload) - kept :]), root) is None


@given(secrets, links, st.data())
def test_links_taken_off_or_moved_are_refused(root: Secret, made: list[dict[str, Any]], data: st.DataObject) -> None:
    head, chain, tag = straight.split(chain_of(root, made))
    other = data.draw(st.lists(st.sampled_from(chain), max_size=len(chain) + 1))
    text = straight.text_of(straight.joined(head, other, tag))
    assert (opened(text, root) is not None) == (other == chain)


@given(secrets, links, links, st.data())
def test_two_chains_of_one_root_do_not_splice(
    root: Secret, one: list[dict[str, Any]], other: list[dict[str, Any]], data: st.DataObject
) -> None:
    head, first, _ = straight.split(chain_of(root, one))
    _, second, tag = straight.split(chain_of(root, other))
    mixed = first[: data.draw(st.integers(0, len(first)))] + second[data.draw(st.integers(0, len(second))) :]
    text = straight.text_of(straight.joined(head, mixed, tag))
    assert (opened(text, root) is not None) == (mixed == second)


@given(secrets, links)
def test_the_two_forms_of_key_are_never_taken_for_one_another(root: Secret, made: list[dict[str, Any]]) -> None:
    text = chain_of(root, made)
    assert (is_derived(root.reveal().encode()), is_token(text.encode())) == (False, False)
    assert (is_derived(text.encode()), is_token(root.reveal().encode())) == (True, True)


@given(st.binary(max_size=300), st.booleans())
def test_arbitrary_bytes_are_no_derived_key(junk: bytes, marked: bool) -> None:
    with pytest.raises(ValueError, match="derived key"):
        parse_derived(b"dk_" + junk if marked else junk)
    if marked:
        assert opened(straight.text_of(b"\x01" + junk), ROOT) is None


@given(secrets)
def test_the_store_and_a_holder_each_lack_the_chains_secret(root: Secret) -> None:
    """What the construction promises of the split, by trying the ways in that one of the two would have."""
    text = attenuate(root, nonce=NONCE, scopes=[]).reveal()
    head, _, tag = straight.split(text)
    share = share_of(root)
    free = straight.caveat(nonce=NONCE)
    digest, wrap = head[1:33], head[33:]
    for guess in (share, digest, wrap, tag, straight.xor(share, wrap), straight.xor(share, digest), bytes(32)):
        forged = straight.joined(head, [free], straight.chain(guess, head, [free])[-1])
        assert opened(straight.text_of(forged), root) is None
    assert not {share, tag} & {digest, wrap}


def test_equal_derivations_have_ids_of_their_own() -> None:
    keys = [derive(ROOT.reveal(), scopes=["devboxes:read"]) for _ in range(8)]
    assert len({derived_id(key) for key in keys}) == 8


def test_ids_go_from_the_first_link_to_the_last_and_belong_to_the_chain() -> None:
    first = derive(ROOT.reveal(), scopes=["devboxes:write"])
    second = keyscope.attenuate(first, scopes=["devboxes:read"])
    ids = verify_derived(parse_derived(second.encode()), share_of(ROOT))
    assert ids == (last_id(first), last_id(Secret(second)))


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        ({"scopes": ["devboxes"]}, "is not a scope"),
        ({"scopes": ["devboxes:read", "devboxes:write"]}, "once"),
        ({"scopes": [f"t{number}:read" for number in range(65)]}, "64"),
        ({"expires_at_ms": 0}, ">= 1"),
        ({"expires_at_ms": 2**53}, "<= 9007199254740991"),
        ({"label": "two\nlines"}, "one line"),
        ({"label": "x" * 201}, "200"),
        ({"nonce": "short"}, "nonce"),
    ],
)
def test_a_limit_that_cannot_be_is_refused_in_words(limits: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        derive(ROOT.reveal(), **limits)


@pytest.mark.parametrize("text", ["", "rk_", ROOT.reveal()[:-1], ROOT.reveal() + "0", "dk_", "dk_ü", "rk_" + "é" * 49])
def test_what_is_no_key_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(ValueError, match=r"copied whole") as refusal:
        derive(text, scopes=[])
    assert text in ("", "rk_", "dk_") or text not in str(refusal.value)


def test_there_is_an_end_to_links_and_to_length() -> None:
    key = ROOT.reveal()
    for _ in range(MAX_LINKS):
        key = derive(key)
    with pytest.raises(ValueError, match="16 links"):
        derive(key)
    long = ROOT.reveal()
    for _ in range(12):
        long = derive(long, label="x" * 200)
    with pytest.raises(ValueError, match="4096 characters"):
        derive(long, label="x" * 200)
    assert len(long) <= MAX_LENGTH
    assert opened(long, ROOT) is not None


def test_nothing_of_a_derived_key_shows_itself() -> None:
    made = attenuate(ROOT, nonce=NONCE, label="build 42")
    assert repr(parse_derived(made.reveal().encode())) == "Derived(…)"
    assert str(made) == f"{made}" == "Secret(…)"
    for leak in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError):
            leak(made)


def test_grants_are_remembered_only_for_chains_that_were_verified() -> None:
    before = module._grant.cache_info().currsize
    parse_derived(chain_of(ROOT, [{"nonce": NONCE, "scopes": ["never_seen_elsewhere:read"]}]).encode())
    assert module._grant.cache_info().currsize == before
