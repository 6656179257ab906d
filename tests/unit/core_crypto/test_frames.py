"""A framed object opens whole, in order, with its own key, in its own place, and in no other way."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from auditvault.core.crypto import frames as module
from auditvault.core.crypto.envelope import (
    ContextPrefix,
    EnvelopeError,
    EnvelopeKeyMismatchError,
    EnvelopeNotAuthenticError,
    EnvelopeSuiteError,
    EnvelopeTruncatedError,
    EnvelopeVersionError,
    ObjectContext,
    open_,
    open_object,
    rewrap_cek,
    seal,
    seal_object,
)
from auditvault.core.crypto.frames import (
    FRAME_SIZE,
    FRAMED_HEAD_SIZE,
    MAX_FRAMED_CONTENT_SIZE,
    SEALED_FRAME_SIZE,
    FramedContent,
    is_framed,
    open_framed_object,
    open_frames,
    seal_framed_object,
    seal_frames,
)
from auditvault.core.crypto.keywrap import (
    CryptoContextError,
    WrapKey,
    WrapKeyMismatchError,
    WrapNotAuthenticError,
    derive_key_and_commitment,
    length_prefixed,
)

FIRST = FRAME_SIZE - 32
"""Bytes of content in the first frame, behind the opening."""
DEK = WrapKey(b"d" * 16, b"D" * 32)
PREFIX = ContextPrefix(region="eu", tenant_id=b"t" * 16, data_class="prompt")
PLACE: dict[str, Any] = {
    "dek": DEK,
    "prefix": PREFIX,
    "subject_id": b"s" * 16,
    "object_id": b"o" * 16,
    "version": 1,
}
CEK = b"C" * 32
CONTEXT: dict[str, Any] = {
    "region": "eu",
    "tenant_id": b"t" * 16,
    "subject_id": b"s" * 16,
    "object_id": b"o" * 16,
    "version": 1,
    "data_class": "prompt",
}
LABEL = b"auditvault/framed/1\x01"

# Sizes around the borders of frames, and any other.
border_sizes = st.builds(
    lambda frames, off: max(0, FIRST + frames * FRAME_SIZE + off),
    st.integers(-1, 3),
    st.integers(-33, 33),
)
sizes = st.one_of(border_sizes, st.integers(0, 4 * FRAME_SIZE))
ids = st.binary(min_size=16, max_size=16) | st.uuids()


def content_of(size: int) -> bytes:
    return bytes(range(251)) * (size // 251) + bytes(range(size % 251))


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """The data in chunks that end at these places, empty ones included."""
    ends = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(ends)]


class Sealed:
    """A sealed content in the parts that somebody can put together otherwise."""

    def __init__(self, content: bytes = b"", **changes: Any) -> None:
        made = seal_framed_object(**{**PLACE, **changes}, content=[content])
        self.wrapped_cek, self.head, self.opening = made.wrapped_cek, made.head, made.opening
        self.frames = list(made.frames)

    def open(self, frames: Iterable[bytes] | None = None, **changes: Any) -> FramedContent:
        sealed = self.frames if frames is None else frames
        found = {**PLACE, "wrapped_cek": self.wrapped_cek, "head": self.head, **changes}
        return open_framed_object(**found, sealed=sealed)

    def content(self, frames: Iterable[bytes] | None = None, **changes: Any) -> bytes:
        return b"".join(self.open(frames, **changes).chunks)


# --- round trips and an oracle ---------------------------------------------------------------------------


@given(
    size=sizes,
    places=st.lists(st.integers(0), max_size=6),
    sealed_places=st.lists(st.integers(0), max_size=6),
    key=st.binary(min_size=32, max_size=32),
    ids=st.tuples(ids, ids, ids, ids),
    version=st.integers(1, 2**31 - 1),
)
def test_what_was_sealed_in_any_chunks_opens_from_any_chunks(
    size: int, places: list[int], sealed_places: list[int], key: bytes, ids: Any, version: int
) -> None:
    content = content_of(size)
    place = {
        "dek": WrapKey(ids[0], key),
        "prefix": ContextPrefix(region="eu", tenant_id=ids[1], data_class="prompt"),
        "subject_id": ids[2],
        "object_id": ids[3],
        "version": version,
    }
    made = seal_framed_object(**place, content=cut(content, places))
    sealed = cut(b"".join(made.frames), sealed_places)
    opened = open_framed_object(
        **place, wrapped_cek=made.wrapped_cek, head=made.head, sealed=sealed
    )
    assert opened.opening == made.opening
    assert b"".join(opened.chunks) == content


def slow_frames(cek: bytes, head: bytes, opening: bytes, content: bytes) -> bytes:
    """The specification, read aloud: nothing streams, everything is written out."""
    key, commitment = derive_key_and_commitment(cek, head[4:36], LABEL)
    assert head == b"AF\x01\x01" + head[4:36] + commitment
    fields = [LABEL, b"eu", b"t" * 16, b"prompt", b"s" * 16, b"o" * 16, struct.pack(">Q", 1)]
    bound = b"".join(map(length_prefixed, [*fields, commitment]))
    plaintext, out = opening + content, b""
    while plaintext:
        frame, plaintext = plaintext[:FRAME_SIZE], plaintext[FRAME_SIZE:]
        number = len(out) // SEALED_FRAME_SIZE
        nonce = bytes(7) + struct.pack(">I", number) + (b"\0" if plaintext else b"\1")
        out += AESGCM(key).encrypt(nonce, frame, bound)
    return out


@given(size=sizes, places=st.lists(st.integers(0), max_size=4))
def test_frames_are_those_of_the_slow_oracle(size: int, places: list[int]) -> None:
    content = content_of(size)
    head, opening, frames = seal_frames(
        cek=CEK, context=ObjectContext(**CONTEXT), content=cut(content, places)
    )
    assert b"".join(frames) == slow_frames(CEK, head, opening, content)


@pytest.mark.parametrize("size", [0, 1, FIRST - 1, FIRST, FIRST + 1, FIRST + FRAME_SIZE])
def test_every_frame_but_the_last_is_full_and_the_last_is_not_empty(size: int) -> None:
    made = Sealed(content_of(size))
    lengths = [len(frame) for frame in made.frames]
    assert len(made.head) == FRAMED_HEAD_SIZE
    assert set(lengths[:-1]) <= {SEALED_FRAME_SIZE}
    assert 16 < lengths[-1] <= SEALED_FRAME_SIZE
    assert sum(lengths) == 32 + size + 16 * len(lengths)


def test_the_lower_half_round_trips() -> None:
    context = ObjectContext(**CONTEXT)
    head, opening, frames = seal_frames(cek=CEK, context=context, content=[b"a", b"b" * FRAME_SIZE])
    opened = open_frames(cek=CEK, context=context, head=head, sealed=frames)
    assert opened.opening == opening
    assert b"".join(opened.chunks) == b"a" + b"b" * FRAME_SIZE


def test_nothing_random_is_used_twice() -> None:
    one, other = Sealed(), Sealed()
    assert one.opening != other.opening
    assert one.head[4:36] != other.head[4:36]  # salt
    assert one.head[36:] != other.head[36:]  # commitment, hence key
    assert one.wrapped_cek[34:46] != other.wrapped_cek[34:46]  # nonce


def test_no_nonce_comes_twice_under_one_key(monkeypatch: pytest.MonkeyPatch) -> None:
    nonces: list[bytes] = []

    class Watched:
        def __init__(self, key: bytes) -> None:
            self._aead = AESGCM(key)

        def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes) -> bytes:
            nonces.append(nonce)
            return self._aead.encrypt(nonce, data, associated_data)

    monkeypatch.setattr(module, "AESGCM", Watched)
    Sealed(content_of(300 * FRAME_SIZE))
    assert len(nonces) == len(set(nonces)) == 301
    assert {nonce[-1] for nonce in nonces[:-1]} == {0}
    assert nonces[-1][-1] == 1


# --- frames in another order or number -------------------------------------------------------------------

FRAMES = 5
WHOLE = Sealed(content_of(FRAMES * FRAME_SIZE - 1000))
OTHER = Sealed(content_of(FRAMES * FRAME_SIZE - 1000))
SAME_CEK_CONTEXT = ObjectContext(**CONTEXT)


def swapped(frames: list[bytes], one: int, two: int) -> list[bytes]:
    frames = frames.copy()
    frames[one], frames[two] = frames[two], frames[one]
    return frames


MANGLED: dict[str, list[bytes]] = {
    **{f"cut to {n} frames": WHOLE.frames[:n] for n in range(1, FRAMES)},
    **{f"without frame {n}": WHOLE.frames[:n] + WHOLE.frames[n + 1 :] for n in range(FRAMES)},
    **{f"frame {n} twice": [*WHOLE.frames[: n + 1], *WHOLE.frames[n:]] for n in range(FRAMES)},
    **{
        f"frames {one} and {two} exchanged": swapped(WHOLE.frames, one, two)
        for one, two in itertools.combinations(range(FRAMES), 2)
    },
    **{
        f"frame {n} of another": [*WHOLE.frames[:n], OTHER.frames[n], *WHOLE.frames[n + 1 :]]
        for n in range(FRAMES)
    },
    "with an empty frame behind": [*WHOLE.frames, bytes(16)],
    "with a byte behind": [*WHOLE.frames, b"\0"],
    "with the first frame behind": [*WHOLE.frames, WHOLE.frames[0]],
    "with all of another behind": WHOLE.frames + OTHER.frames,
    "begun with another": [*OTHER.frames[:2], *WHOLE.frames[2:]],
    "backwards": WHOLE.frames[::-1],
}


@pytest.mark.parametrize("name", MANGLED)
def test_frames_put_together_otherwise_are_refused(name: str) -> None:
    with pytest.raises(EnvelopeError) as caught:
        WHOLE.content(MANGLED[name])
    assert caught.value.code in {"envelope_not_authentic", "envelope_truncated"}


def read_until_it_ends(frames: list[bytes], got: list[bytes]) -> None:
    got.extend(WHOLE.open(frames).chunks)


@pytest.mark.parametrize("frames", range(1, FRAMES))
def test_a_cut_at_a_frames_border_gives_the_frames_before_and_then_the_error(frames: int) -> None:
    """What came before the error is authentic; the last of what is left was never the last."""
    chunks: list[bytes] = []
    with pytest.raises(EnvelopeNotAuthenticError):
        read_until_it_ends(WHOLE.frames[:frames], chunks)
    got = b"".join(chunks)
    assert got == WHOLE.content()[: len(got)]
    assert len(got) == max(0, FIRST + (frames - 2) * FRAME_SIZE)


def test_frames_of_two_envelopes_under_one_cek_do_not_mix() -> None:
    head, _, frames = seal_frames(cek=CEK, context=SAME_CEK_CONTEXT, content=[content_of(200_000)])
    _, _, others = seal_frames(cek=CEK, context=SAME_CEK_CONTEXT, content=[content_of(200_000)])
    mixed = [*itertools.islice(frames, 2), *itertools.islice(others, 2, None)]
    opened = open_frames(cek=CEK, context=SAME_CEK_CONTEXT, head=head, sealed=mixed)
    with pytest.raises(EnvelopeNotAuthenticError):
        list(opened.chunks)


def test_an_empty_last_frame_is_refused_though_its_key_made_it() -> None:
    """No writer makes one: it would be a second form of the same content."""
    head, opening, _ = seal_frames(cek=CEK, context=SAME_CEK_CONTEXT, content=[])
    key, commitment = derive_key_and_commitment(CEK, head[4:36], LABEL)
    bound = SAME_CEK_CONTEXT.associated_data(LABEL) + length_prefixed(commitment)
    first = AESGCM(key).encrypt(bytes(12), opening + bytes(FIRST), bound)
    empty = AESGCM(key).encrypt(bytes(10) + b"\1\1", b"", bound)
    opened = open_frames(cek=CEK, context=SAME_CEK_CONTEXT, head=head, sealed=[first, empty])
    with pytest.raises(EnvelopeTruncatedError):
        list(opened.chunks)


# --- place, key and bits ---------------------------------------------------------------------------------


def other_prefix(**changes: Any) -> ContextPrefix:
    return ContextPrefix(
        **{"region": "eu", "tenant_id": b"t" * 16, "data_class": "prompt", **changes}
    )


@pytest.mark.parametrize(
    "change",
    [
        {"prefix": other_prefix(region="us")},
        {"prefix": other_prefix(tenant_id=b"T" * 16)},
        {"prefix": other_prefix(data_class="output")},
        {"subject_id": b"S" * 16},
        {"object_id": b"O" * 16},
        {"version": 2},
        {"dek": WrapKey(b"x" * 16, b"D" * 32)},
    ],
    ids=["region", "tenant", "class", "subject", "object", "version", "key id"],
)
def test_a_framed_object_moved_elsewhere_does_not_open(change: dict[str, Any]) -> None:
    with pytest.raises(WrapNotAuthenticError):
        WHOLE.open(**change)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("region", "us"),
        ("tenant_id", b"T" * 16),
        ("subject_id", b"S" * 16),
        ("object_id", b"O" * 16),
        ("version", 2),
        ("data_class", "output"),
    ],
)
def test_frames_are_bound_without_their_wrap(field: str, value: Any) -> None:
    head, _, frames = seal_frames(cek=CEK, context=SAME_CEK_CONTEXT, content=[b"content"])
    elsewhere = ObjectContext(**{**CONTEXT, field: value})
    with pytest.raises(EnvelopeNotAuthenticError):
        open_frames(cek=CEK, context=elsewhere, head=head, sealed=frames)


def test_every_frame_is_bound_and_not_the_first_alone() -> None:
    key, commitment = derive_key_and_commitment(CEK, bytes(32), LABEL)
    head = b"AF\x01\x01" + bytes(32) + commitment
    here = SAME_CEK_CONTEXT.associated_data(LABEL) + length_prefixed(commitment)
    there = ObjectContext(**{**CONTEXT, "object_id": b"O" * 16}).associated_data(LABEL)
    first = AESGCM(key).encrypt(bytes(12), bytes(FRAME_SIZE), here)
    last = AESGCM(key).encrypt(bytes(10) + b"\1\1", b"x", there + length_prefixed(commitment))
    opened = open_frames(cek=CEK, context=SAME_CEK_CONTEXT, head=head, sealed=[first, last])
    with pytest.raises(EnvelopeNotAuthenticError):
        list(opened.chunks)


def test_the_head_of_another_object_does_not_open() -> None:
    with pytest.raises(EnvelopeKeyMismatchError):
        WHOLE.open(head=OTHER.head)


def test_another_dek_is_refused_by_the_commitment() -> None:
    with pytest.raises(WrapKeyMismatchError):
        WHOLE.open(dek=WrapKey(DEK.key_id, b"E" * 32))


def never() -> Iterator[bytes]:
    raise AssertionError("frames were read")
    yield b""


def test_another_cek_is_refused_before_any_frame_is_read() -> None:
    head, _, _ = seal_frames(cek=CEK, context=SAME_CEK_CONTEXT, content=[b"content"])
    with pytest.raises(EnvelopeKeyMismatchError):
        open_frames(cek=b"D" * 32, context=SAME_CEK_CONTEXT, head=head, sealed=never())


def test_a_flipped_bit_anywhere_is_refused() -> None:
    made = Sealed(b"short")
    whole = made.head + b"".join(made.frames)
    for position, bit in itertools.product(range(len(whole)), range(8)):
        changed = bytearray(whole)
        changed[position] ^= 1 << bit
        head, frames = bytes(changed[:FRAMED_HEAD_SIZE]), bytes(changed[FRAMED_HEAD_SIZE:])
        with pytest.raises(EnvelopeError):
            made.content([frames], head=head)


@given(place=st.integers(0), bit=st.integers(0, 7))
def test_a_flipped_bit_in_any_frame_is_refused(place: int, bit: int) -> None:
    changed = bytearray(b"".join(WHOLE.frames))
    changed[place % len(changed)] ^= 1 << bit
    with pytest.raises(EnvelopeNotAuthenticError):
        WHOLE.content([bytes(changed)])


def test_every_shorter_framed_envelope_is_refused() -> None:
    made = Sealed(b"short")
    (frame,) = made.frames
    for size in range(FRAMED_HEAD_SIZE):
        with pytest.raises(EnvelopeTruncatedError):
            made.open(head=made.head[:size])
    for size in range(len(frame)):
        with pytest.raises(EnvelopeError):
            made.content([frame[:size]])


@given(size=st.integers(0, sum(map(len, WHOLE.frames)) - 1))
def test_a_cut_anywhere_is_refused(size: int) -> None:
    with pytest.raises(EnvelopeError):
        WHOLE.content([b"".join(WHOLE.frames)[:size]])


@pytest.mark.parametrize(
    ("change", "error", "code"),
    [
        (lambda _: b"", EnvelopeTruncatedError, "envelope_truncated"),
        (lambda head: head[:67], EnvelopeTruncatedError, "envelope_truncated"),
        (lambda head: head + b"\0", EnvelopeError, "envelope_malformed"),
        (lambda head: b"XF" + head[2:], EnvelopeError, "envelope_malformed"),
        (
            lambda head: head[:2] + b"\2" + head[3:],
            EnvelopeVersionError,
            "envelope_version_unknown",
        ),
        (lambda head: head[:3] + b"\0" + head[4:], EnvelopeSuiteError, "envelope_suite_unknown"),
        (
            lambda head: head[:4] + bytes(64),
            EnvelopeKeyMismatchError,
            "envelope_key_mismatch",
        ),
    ],
    ids=["empty", "short", "long", "magic", "version", "suite", "salt and commitment"],
)
def test_each_defect_of_the_head_has_its_code(
    change: Any, error: type[EnvelopeError], code: str
) -> None:
    with pytest.raises(EnvelopeError) as caught:
        WHOLE.open(head=change(WHOLE.head))
    assert type(caught.value) is error
    assert caught.value.code == code


def test_no_frames_at_all_are_truncated() -> None:
    with pytest.raises(EnvelopeTruncatedError):
        WHOLE.open([])


# --- one kind is never read as the other -----------------------------------------------------------------


def test_a_framed_envelope_is_not_read_as_a_plain_one() -> None:
    """Not even one frame under the other's first bytes."""
    made = Sealed(b"content")
    plain = made.head + made.frames[0]
    place = {**PLACE, "wrapped_cek": made.wrapped_cek}
    assert is_framed(plain)
    with pytest.raises(EnvelopeError, match="not an envelope"):
        open_object(**place, envelope=plain)
    with pytest.raises(EnvelopeKeyMismatchError):
        open_object(**place, envelope=b"AV" + plain[2:])


def test_a_plain_envelope_is_not_read_as_a_framed_one() -> None:
    made = seal_object(**PLACE, content=b"content")
    head, frame = made.envelope[:FRAMED_HEAD_SIZE], made.envelope[FRAMED_HEAD_SIZE:]
    place = {**PLACE, "wrapped_cek": made.wrapped_cek, "sealed": [frame]}
    assert not is_framed(made.envelope)
    with pytest.raises(EnvelopeError, match="not a framed envelope"):
        open_framed_object(**place, head=head)
    with pytest.raises(EnvelopeKeyMismatchError):
        open_framed_object(**place, head=b"AF" + head[2:])


def test_both_kinds_under_one_cek_have_different_keys() -> None:
    plain = seal(cek=CEK, context=SAME_CEK_CONTEXT, plaintext=bytes(40))
    with pytest.raises(EnvelopeKeyMismatchError):
        open_frames(
            cek=CEK, context=SAME_CEK_CONTEXT, head=b"AF" + plain[2:68], sealed=[plain[68:]]
        )
    head, _, frames = seal_frames(cek=CEK, context=SAME_CEK_CONTEXT, content=[bytes(8)])
    with pytest.raises(EnvelopeKeyMismatchError):
        open_(cek=CEK, context=SAME_CEK_CONTEXT, envelope=b"AV" + head[2:] + next(frames))


# --- limits, memory and misuse ---------------------------------------------------------------------------


def test_a_rewrapped_framed_object_opens_under_the_new_dek() -> None:
    made, new_dek = Sealed(b"content"), WrapKey(b"n" * 16, b"N" * 32)
    moved = rewrap_cek(
        old_dek=DEK,
        new_dek=new_dek,
        prefix=PREFIX,
        subject_id=b"s" * 16,
        object_id=b"o" * 16,
        wrapped_cek=made.wrapped_cek,
    )
    assert made.content(dek=new_dek, wrapped_cek=moved) == b"content"


def test_the_limit_is_what_the_specification_says() -> None:
    assert MAX_FRAMED_CONTENT_SIZE == 68_719_476_704


def test_the_largest_number_of_frames_is_sealed_and_one_more_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a smaller limit: the real one is 64 GiB."""
    largest = content_of(FIRST + 2 * FRAME_SIZE)
    longer = Sealed(largest + b"x")
    monkeypatch.setattr(module, "MAX_FRAMES", 3)
    assert Sealed(largest).content() == largest
    with pytest.raises(EnvelopeError, match="at most"):
        Sealed(largest + b"x")
    with pytest.raises(EnvelopeError, match="at most"):
        longer.content()


def test_a_content_that_breaks_off_never_gets_a_last_frame() -> None:
    def broken() -> Iterator[bytes]:
        yield content_of(3 * FRAME_SIZE)
        raise ConnectionError

    made = seal_framed_object(**PLACE, content=broken())
    frames: list[bytes] = []
    with pytest.raises(ConnectionError):
        frames.extend(made.frames)
    opened = open_framed_object(
        **PLACE, wrapped_cek=made.wrapped_cek, head=made.head, sealed=frames
    )
    with pytest.raises(EnvelopeNotAuthenticError):
        list(opened.chunks)


def test_no_more_than_a_frame_and_a_chunk_is_read_ahead() -> None:
    read = 0

    def counted(chunks: Iterable[bytes]) -> Iterator[bytes]:
        nonlocal read
        for chunk in chunks:
            read += len(chunk)
            yield chunk

    made = seal_framed_object(**PLACE, content=counted([bytes(1000)] * 1000))
    given, frames = 0, []
    for frame in made.frames:
        frames.append(frame)
        given += FRAME_SIZE
        assert read <= given + FRAME_SIZE + 1000
    read = 0
    opened = open_framed_object(
        **PLACE,
        wrapped_cek=made.wrapped_cek,
        head=made.head,
        sealed=counted(cut(b"".join(frames), range(0, 1_100_000, 1000))),
    )
    given = 32
    for chunk in opened.chunks:
        given += len(chunk)
        assert read <= given + 16 * (given // FRAME_SIZE + 1) + SEALED_FRAME_SIZE + 1000


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_cek_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(EnvelopeError):
        seal_frames(cek=bytes(size), context=SAME_CEK_CONTEXT, content=[])
    with pytest.raises(EnvelopeError):
        open_frames(cek=bytes(size), context=SAME_CEK_CONTEXT, head=bytes(68), sealed=[])


@pytest.mark.parametrize(
    "change",
    [{"subject_id": b"s"}, {"object_id": "o" * 16}, {"version": 0}, {"version": 2**31}],
    ids=["subject", "object", "version 0", "version 2^31"],
)
def test_an_id_or_version_that_is_none_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(CryptoContextError):
        Sealed(b"", **change)


def test_nothing_of_a_content_shows_in_a_repr_or_an_error() -> None:
    made = seal_framed_object(**PLACE, content=[b"private words"])
    assert repr(made.opening) not in repr(made)
    opened = Sealed(b"private words").open()
    assert "private" not in repr(opened)
    with pytest.raises(EnvelopeError) as caught:
        WHOLE.content(WHOLE.frames[:2])
    assert "private" not in str(caught.value)
