"""The floor: a bare WSGI application that does the unavoidable work on the same bytes, and nothing else.

Gunzip, parse, one SHA-256 and one AES-GCM of each span, a hash chain under a locked row, one binary COPY, one commit
with fsync. No header, no dialects, no tree, no key hierarchy, no access control. What the product costs beyond this is
what it does beyond this.
"""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Callable, Iterable
from typing import Any

import psycopg
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from psycopg_pool import ConnectionPool

SCHEMA = """
CREATE TABLE floor_head (size bigint NOT NULL, leaf bytea NOT NULL);
INSERT INTO floor_head VALUES (0, decode(repeat('00', 32), 'hex'));
CREATE TABLE floor_span (idx bigint PRIMARY KEY, trace_id bytea NOT NULL, span_id bytea NOT NULL,
    leaf bytea NOT NULL, sealed bytea NOT NULL);
ALTER TABLE floor_span ALTER sealed SET STORAGE EXTERNAL;
"""
_TYPES = ("int8", "bytea", "bytea", "bytea", "bytea")
_CIPHER = AESGCM(bytes(32))
_pool: list[ConnectionPool[psycopg.Connection[Any]]] = []


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Store the spans of one gzip protobuf request, and answer once they are durable."""
    body = gzip.decompress(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    sealed = []
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                plain = span.SerializeToString()
                nonce = os.urandom(12)
                ciphertext = nonce + _CIPHER.encrypt(nonce, plain, None)
                digest = hashlib.sha256(plain).digest()
                sealed.append((span.trace_id, span.span_id, digest, ciphertext))
    _store(sealed)
    start_response("200 OK", [("Content-Type", "application/x-protobuf"), ("Content-Length", "0")])
    return [b""]


def _store(sealed: list[tuple[bytes, bytes, bytes, bytes]]) -> None:
    if not _pool:
        _pool.append(ConnectionPool(os.environ["FLOOR_URL"], min_size=1, max_size=4, open=True))
    with _pool[0].connection() as connection, connection.cursor() as cursor:
        row = cursor.execute("SELECT size, leaf FROM floor_head FOR UPDATE").fetchone()
        assert row is not None
        size, leaf = row
        with cursor.copy(
            "COPY floor_span (idx, trace_id, span_id, leaf, sealed) FROM STDIN (FORMAT binary)"
        ) as copy:
            copy.set_types(_TYPES)
            for index, (trace_id, span_id, digest, ciphertext) in enumerate(sealed, start=size):
                leaf = hashlib.sha256(leaf + digest).digest()
                copy.write_row((index, trace_id, span_id, leaf, ciphertext))
        cursor.execute("UPDATE floor_head SET size = %s, leaf = %s", (size + len(sealed), leaf))
