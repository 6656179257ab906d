"""A manifest says the same after being written and read, and nothing else passes for one."""

from __future__ import annotations

import json
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditvault.core.policy.erasure import Kind
from auditvault.core.policy.manifest import (
    Manifest,
    ManifestError,
    RegionFound,
    manifest_digest,
    objects_digest,
    read_manifest,
)
from auditvault.core.tlog.canonical import canonical_bytes

ids = st.lists(st.uuids(), max_size=4, unique=True).map(sorted).map(tuple)
counts = st.integers(0, 2**53 - 1)


@st.composite
def manifests(draw):
    names = draw(
        st.lists(st.from_regex(r"\A[a-z][a-z0-9_]{0,8}\Z"), min_size=1, max_size=3, unique=True)
    )
    return Manifest(
        request_id=draw(st.uuids()),
        tenant_id=draw(st.uuids()),
        kind=draw(st.sampled_from(Kind)),
        recipient_ids=draw(ids),
        regions=tuple(
            RegionFound(
                region=name,
                listing_id=draw(st.uuids()),
                subject_ids=draw(ids),
                objects=draw(counts),
                objects_digest=draw(st.binary(min_size=32, max_size=32)),
                records=draw(counts),
                names=draw(counts),
                keys=draw(counts),
                hold_ids=draw(ids),
            )
            for name in sorted(names)
        ),
    )


ONE = Manifest(
    request_id=UUID(int=1),
    tenant_id=UUID(int=2),
    kind=Kind.ERASURE,
    regions=(
        RegionFound(
            region="eu",
            listing_id=UUID(int=3),
            subject_ids=(UUID(int=4), UUID(int=5)),
            objects=2,
            objects_digest=bytes(32),
            records=1,
            names=1,
            keys=1,
            hold_ids=(),
        ),
    ),
)


@given(manifests())
def test_a_manifest_is_read_as_it_was_written(manifest):
    assert read_manifest(manifest.to_bytes()) == manifest


@given(manifests(), manifests())
def test_two_manifests_have_one_digest_only_if_they_are_the_same(one, other):
    assert (manifest_digest(one.to_bytes()) == manifest_digest(other.to_bytes())) == (one == other)


@given(st.lists(st.uuids()))
def test_the_order_in_which_objects_are_found_does_not_matter(found):
    assert objects_digest(found) == objects_digest(reversed(found))


def test_what_is_in_it_is_counted_over_the_regions():
    there = replace(ONE.regions[0], region="us", objects=3)
    both = replace(ONE, regions=(*ONE.regions, there))
    assert (both.objects, both.subjects, both.part("us")) == (5, 4, there)


def test_a_region_that_was_not_asked_about_has_no_part():
    with pytest.raises(ManifestError):
        ONE.part("us")


@pytest.mark.parametrize(
    "changes",
    [
        {"regions": ()},
        {"regions": (ONE.regions[0], ONE.regions[0])},
        {"regions": (replace(ONE.regions[0], region="EU"),)},
        {"regions": (replace(ONE.regions[0], objects=-1),)},
        {"regions": (replace(ONE.regions[0], objects=True),)},
        {"regions": (replace(ONE.regions[0], objects_digest=bytes(31)),)},
        {"regions": (replace(ONE.regions[0], subject_ids=(UUID(int=5), UUID(int=4))),)},
        {"regions": (replace(ONE.regions[0], hold_ids=(UUID(int=4),) * 2),)},
        {"recipient_ids": (UUID(int=2), UUID(int=1))},
    ],
)
def test_what_contradicts_itself_is_not_written(changes):
    with pytest.raises(ManifestError):
        replace(ONE, **changes).to_bytes()


@pytest.mark.parametrize(
    "change",
    [
        {"v": "auditvault/manifest/2"},
        {"request": "00000000-0000-0000-0000-00000000000A"},
        {"request": 1},
        {"tenant": "nobody"},
        {"kind": "revenge"},
        {"regions": None},
        {"regions": ["eu"]},
        {"recipients": "all"},
        {"name": "Erika Mustermann"},
    ],
)
def test_what_is_of_another_form_is_not_read(change):
    members = json.loads(ONE.to_bytes()) | change
    with pytest.raises(ManifestError):
        read_manifest(canonical_bytes(members))


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", ONE.to_bytes() + b" "])
def test_what_is_no_manifest_is_not_read(data):
    with pytest.raises(ManifestError):
        read_manifest(data)
