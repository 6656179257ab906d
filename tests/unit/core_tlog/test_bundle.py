from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.bundle_headers import Absent, Opened
from auditvault.core.tlog.bundle_manifest import BundleError, Scope
from auditvault.core.tlog.bundle_writer import Part, Previous, Proofs, write_bundle
from tests.reference import bundles, receipts
from tests.reference import merkle_oracle as oracle
from tests.reference.bundle_steps import LEAVES, LOG, check, opened

SMALL = {"first": 1, "end": 4, "size": 5}
SMALL_MADE = bundles.members(**SMALL, previous=2)  # type: ignore[arg-type]


@st.composite
def scopes(draw: st.DrawFn) -> Scope:
    size = draw(st.integers(1, bundles.SIZE))
    first = draw(st.integers(0, size - 1))
    return Scope(
        log=receipts.ORIGIN,
        first=first,
        end=draw(st.integers(first + 1, size)),
        size=size,
        headers=draw(st.sampled_from(["included", "not_requested"])),
    )


def proofs_of(scope: Scope, previous: int) -> Proofs:
    leaves = LEAVES[: scope.size]
    path = oracle.consistency_path(previous, leaves) if 0 < previous < scope.size else []
    note = receipts.note(oracle.tree_hash(leaves[:previous]), size=previous)
    return Proofs(
        checkpoint=receipts.note(oracle.tree_hash(leaves), size=scope.size),
        hashes=bundles.outside(leaves, scope.first, scope.end),
        previous=Previous(note=note, proof=path) if previous else None,
        keys=[f"{receipts.ORIGIN}+00000000+any"],
    )


def parts_of(scope: Scope) -> list[Part]:
    item = Opened(header=receipts.HEADER, opening=receipts.OPENING)
    return [
        Part(
            entries=LOG[part.start : part.stop],
            headers=[item] * len(part) if scope.headers == "included" else None,
        )
        for part in scope.parts()
    ]


def write(scope: Scope, proofs: Proofs, parts: list[Part]) -> bytes:
    file = io.BytesIO()
    write_bundle(file, scope=scope, proofs=proofs, parts=parts)
    return file.getvalue()


@given(scopes(), st.data())
def test_what_is_written_is_what_the_page_says_and_holds(scope: Scope, data: st.DataObject) -> None:
    previous = data.draw(st.integers(0, scope.size))

    written = write(scope, proofs_of(scope, previous), parts_of(scope))

    numbers = {"first": scope.first, "end": scope.end, "size": scope.size}
    made = bundles.members(
        **numbers,
        headers=scope.headers == "included",
        previous=previous or None,
        log=LOG[: scope.size],
    )
    assert written == bundles.bundle(made, **numbers, headers=scope.headers)
    assert check(written).scope == scope


def test_headers_may_be_absent_for_a_reason() -> None:
    scope = Scope(log=receipts.ORIGIN, first=0, end=3, size=5, headers="included")
    (part,) = parts_of(scope)
    given = [Absent(reason="gone"), part.headers[1], Absent(reason="gone")]  # type: ignore[index]

    data = write(scope, proofs_of(scope, 0), [Part(entries=part.entries, headers=given)])

    found = opened(data).check_headers()
    assert (found.opened, found.absent) == (1, {"gone": 2})


@pytest.mark.parametrize(
    "change",
    [
        lambda parts: parts[:-1],
        lambda parts: [*parts, parts[0]],
        lambda parts: [parts[0], Part(entries=parts[1].entries[:-1], headers=parts[1].headers)],
        lambda parts: [parts[0], Part(entries=parts[1].entries, headers=None)],
        lambda parts: [
            parts[0],
            Part(entries=parts[1].entries, headers=(parts[1].headers or [])[1:]),
        ],
        lambda parts: [
            parts[0],
            Part(
                entries=parts[1].entries,
                headers=[Absent(reason="Not A Word")] * len(parts[1].entries),
            ),
        ],
        lambda parts: [
            parts[0],
            Part(
                entries=parts[1].entries,
                headers=[Opened(header=b"{}", opening=b"")] * len(parts[1].entries),
            ),
        ],
    ],
)
def test_parts_that_do_not_fit_the_range_are_not_written(
    change: Callable[[list[Part]], list[Part]],
) -> None:
    scope = Scope(log=receipts.ORIGIN, first=250, end=300, size=300, headers="included")

    with pytest.raises(BundleError):
        write(scope, proofs_of(scope, 0), change(parts_of(scope)))


@pytest.mark.parametrize(
    "changes",
    [
        {"first": -1},
        {"end": 0},
        {"first": 3},
        {"end": 6},
        {"size": 2**53},
        {"end": True},
        {"first": 0.0},
        {"headers": "maybe"},
        {"log": "not an origin"},
        {"end": 2**20 + 1, "size": 2**21},
    ],
)
def test_a_scope_outside_the_rules_cannot_be_made(changes: dict[str, Any]) -> None:
    good = {"log": receipts.ORIGIN, "first": 0, "end": 3, "size": 5, "headers": "included"}

    with pytest.raises(BundleError):
        Scope(**(good | changes))


def test_a_bit_flipped_anywhere_in_the_file_is_refused() -> None:
    data = bundles.bundle(SMALL_MADE, **SMALL)
    check(data)
    for place in range(len(data)):
        broken = bytearray(data)
        broken[place] ^= 1 << place % 8
        with pytest.raises(AuditvaultError):
            check(bytes(broken))


@pytest.mark.parametrize("name", sorted(SMALL_MADE.keys() - {"bundle/keys"}))
def test_a_bit_flipped_in_a_member_is_refused_when_all_sums_are_mended(name: str) -> None:
    for place in range(len(SMALL_MADE[name])):
        broken = bytearray(SMALL_MADE[name])
        broken[place] ^= 1 << place % 8
        with pytest.raises(AuditvaultError):
            check(bundles.bundle({**SMALL_MADE, name: bytes(broken)}, **SMALL))


def test_a_bit_flipped_in_the_manifest_is_refused() -> None:
    good = bundles.manifest(SMALL_MADE, **SMALL)
    for place in range(len(good)):
        broken = bytearray(good)
        broken[place] ^= 1 << place % 8
        with pytest.raises(AuditvaultError):
            check(bundles.archive({**SMALL_MADE, "manifest.json": bytes(broken)}))
