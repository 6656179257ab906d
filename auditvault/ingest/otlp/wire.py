"""OTLP's trace messages with attributes left in their wire form until somebody needs them.

Most of the cost of reading a span in Python is one wrapper object per attribute and one more per
value. Protobuf's own compatibility rules say that an embedded message and `bytes` are
interchangeable on the wire, so these classes are the installed opentelemetry-proto descriptors with
one change: `attributes` is a list of `bytes`, each one a `KeyValue`. A pair that has been seen
before is then found by its bytes, a text's UTF-8 is taken without decoding and encoding it again,
and a broken attribute costs its span and not the request.

Nothing else is hand-made: whatever is not written in the usual way is parsed by the library.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from auditvault.ingest.otlp.reading import (
    MAX_ATTRIBUTES,
    MAX_NESTING,
    Attribute,
    SpanRejectedError,
    Value,
    as_object,
    bytes_value,
    float_value,
)

_SHORTEST_VALUE: Final = 2  # a tag and one byte
_STRING_TAG: Final = 0x0A  # AnyValue.string_value = 1, length-delimited
_INT_TAG: Final = 0x18  # AnyValue.int_value = 3, varint
_KEY_TAG: Final = 0x0A  # KeyValue.key = 1, length-delimited
_VALUE_TAG: Final = 0x12  # KeyValue.value = 2, length-delimited
_ONE_BYTE: Final = 0x80  # a varint below this is one byte
_TWO_BYTES: Final = 0x4000


def _pool() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    for module in (common_pb2, resource_pb2, trace_pb2, trace_service_pb2):
        file = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        for message in file.message_type:
            for owner in (message, *message.nested_type):
                for field in owner.field:
                    if field.name == "attributes":
                        field.type = descriptor_pb2.FieldDescriptorProto.TYPE_BYTES
                        field.ClearField("type_name")
        pool.AddSerializedFile(file.SerializeToString())
    return pool


def _message(pool: descriptor_pool.DescriptorPool, name: str) -> Any:
    descriptor = pool.FindMessageTypeByName(f"opentelemetry.proto.{name}")
    return message_factory.GetMessageClass(descriptor)


_POOL: Final = _pool()
Request: Final = _message(_POOL, "collector.trace.v1.ExportTraceServiceRequest")
Span: Final = _message(_POOL, "trace.v1.Span")
Status: Final = _message(_POOL, "trace.v1.Status")
Scope: Final = _message(_POOL, "common.v1.InstrumentationScope")


def encode_varint(number: int) -> bytes:
    """A non-negative integer as a protobuf varint: seven bits a byte, least significant first."""
    encoded = bytearray()
    while number >= _ONE_BYTE:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def split_pair(pair: bytes) -> tuple[bytes, bytes]:
    """Key in UTF-8, not yet checked, and value in wire form; raises SpanRejectedError."""
    try:
        key_end = pair[1] + 2
        if pair[0] == _KEY_TAG and key_end < _ONE_BYTE + 2 and pair[key_end] == _VALUE_TAG:
            size, start = pair[key_end + 1], key_end + 2
            if size >= _ONE_BYTE:
                size, start = size & 0x7F | pair[start] << 7, start + 1
            if start + size == len(pair) and size < _TWO_BYTES:
                return pair[2:key_end], pair[start:]
    except IndexError:
        pass  # too short to be written in the usual way
    return _parse_pair(pair)


def pair_prefix(key: str) -> bytes:
    """How a `KeyValue` of this key begins, up to its value; keys have less than 128 bytes."""
    return bytes([_KEY_TAG, len(key)]) + key.encode() + bytes([_VALUE_TAG])


def long_text(pair: bytes, at: int) -> bytes | None:
    """The UTF-8 of a pair whose value begins at `at` and is a string of 128 to about 16,000 bytes.

    None if it is anything else; the caller then reads the pair by other means. Raises
    SpanRejectedError if the string is not UTF-8.
    """
    size = len(pair) - at - 5
    if pair[at : at + 5] != _LONG_TEXT_HEADS.get(size):
        return None
    text = pair[at + 5 :]
    if not text.isascii():
        decode_text(text)
    return text


def _long_text_head(size: int) -> bytes:
    return encode_varint(size + 3) + bytes([_STRING_TAG]) + encode_varint(size)


_LONG_TEXT_HEADS: Final = {size: _long_text_head(size) for size in range(_ONE_BYTE, _TWO_BYTES - 3)}
"""Size of a text -> the five bytes before it: the value's length, the string's tag and its length."""


def split_pairs(pairs: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Split all pairs of an owner; raises SpanRejectedError, at once if there are too many."""
    if len(pairs) > MAX_ATTRIBUTES:
        raise SpanRejectedError("too_many_attributes")
    return map(split_pair, pairs)


def _parse_pair(pair: bytes) -> tuple[bytes, bytes]:
    try:
        parsed = common_pb2.KeyValue.FromString(pair)
    except DecodeError:
        raise SpanRejectedError("malformed_span") from None
    return parsed.key.encode(), parsed.value.SerializeToString()


def decode_text(data: bytes) -> str:
    """UTF-8 to text; raises SpanRejectedError."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise SpanRejectedError("malformed_span") from None  # the cause holds the text


def text_bytes(raw: bytes) -> bytes | None:
    """The UTF-8 of a string value as it was sent.

    None if `raw` is another kind of value or written unusually.

    Raises SpanRejectedError if the string is not UTF-8.
    """
    if len(raw) < _SHORTEST_VALUE or raw[0] != _STRING_TAG:
        return None
    size, start = raw[1], 2
    if size >= _ONE_BYTE and len(raw) > start:
        size, start = size & 0x7F | raw[2] << 7, 3
        if size >= _TWO_BYTES:
            return _long_text(raw)
    text = raw[start:]
    if len(text) != size:
        return None
    if not text.isascii():
        decode_text(text)
    return text


def _long_text(raw: bytes) -> bytes | None:
    value = _any_value(raw)
    return value.string_value.encode() if value.WhichOneof("value") == "string_value" else None


def read_value(raw: bytes) -> Value:
    """A value from its wire form; raises SpanRejectedError (`too_deep`, `malformed_span`)."""
    text = text_bytes(raw)
    if text is not None:
        return text.decode()
    if len(raw) == _SHORTEST_VALUE and raw[0] == _INT_TAG and raw[1] < _ONE_BYTE:
        return raw[1]
    return _plain(_any_value(raw), 0)


def read_attributes(pairs: Sequence[bytes]) -> list[Attribute]:
    """Read all pairs of an owner; raises SpanRejectedError."""
    return [(decode_text(key), read_value(raw)) for key, raw in split_pairs(pairs)]


def _any_value(raw: bytes) -> Any:
    try:
        return common_pb2.AnyValue.FromString(raw)
    except DecodeError:
        raise SpanRejectedError("malformed_span") from None


def _plain(value: Any, depth: int) -> Value:
    kind = value.WhichOneof("value")
    if kind in {"string_value", "bool_value", "int_value"}:
        return getattr(value, kind)  # type: ignore[no-any-return]
    if kind == "double_value":
        return float_value(value.double_value)
    if kind == "bytes_value":
        return bytes_value(value.bytes_value)
    if kind == "array_value":
        _check_depth(depth)
        return [_plain(item, depth + 1) for item in value.array_value.values]
    if kind == "kvlist_value":
        _check_depth(depth)
        return as_object(
            [(item.key, _plain(item.value, depth + 1)) for item in value.kvlist_value.values]
        )
    return None  # unset, or the profiles signal's string index, which has no meaning in a trace


def _check_depth(depth: int) -> None:
    if depth == MAX_NESTING:
        raise SpanRejectedError("too_deep")
