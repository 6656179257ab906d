"""The floor: a bare Django view that does the unavoidable work on the same bytes, and nothing else.

Gunzip, parse, one SHA-256 of each span, a hash chain under a locked head, one AES-GCM of each span
under a key of its own, one binary COPY, one commit with fsync. No header, no dialects, no tree, no
key hierarchy, no names, no access control. It runs under the same web server arguments, database
options and PostgreSQL as the product, which costs beyond this what it does beyond this.

granian imports this module as the application; the benchmark itself imports only its constants.
"""

from __future__ import annotations

import gzip
import hashlib
import os
from http import HTTPStatus

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

APPLICATION = "tests.benchmarks.floor:application"
URL_VARIABLE = "BENCH_FLOOR_URL"
SCHEMA = """
CREATE TABLE floor_head (size bigint NOT NULL, leaf bytea NOT NULL) WITH (fillfactor = 50);
INSERT INTO floor_head VALUES (0, decode(repeat('00', 32), 'hex'));
CREATE TABLE floor_span (
    idx bigint PRIMARY KEY, trace_id bytea NOT NULL, span_id bytea NOT NULL,
    leaf bytea NOT NULL, sealed bytea NOT NULL
);
ALTER TABLE floor_span ALTER sealed SET STORAGE EXTERNAL;
GRANT SELECT, UPDATE ON floor_head TO auditvault_app;
GRANT INSERT ON floor_span TO auditvault_app;
"""
_TYPES = ("int8", "bytea", "bytea", "bytea", "bytea")
_COPY = "COPY floor_span (idx, trace_id, span_id, leaf, sealed) FROM STDIN (FORMAT binary)"
_SECRET = bytes(32)
_NONCE = bytes(12)  # a key seals once

Sealed = tuple[bytes, bytes, bytes, bytes]


@csrf_exempt
def traces(request: HttpRequest) -> HttpResponse:
    """Store the spans of one gzip protobuf request, and answer once they are durable."""
    body = gzip.decompress(request.body)
    _store(
        [
            _seal(span.trace_id, span.span_id, span.SerializeToString())
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
    )
    return HttpResponse(content_type="application/x-protobuf")


def ready(_request: HttpRequest) -> HttpResponse:
    """Answer 200, as the product does where it can work."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT size FROM floor_head")
    return HttpResponse(status=int(HTTPStatus.OK))


def _seal(trace_id: bytes, span_id: bytes, plain: bytes) -> Sealed:
    digest = hashlib.sha256(plain).digest()
    salt = os.urandom(32)
    key = hashlib.sha256(_SECRET + salt).digest()
    return trace_id, span_id, digest, salt + AESGCM(key).encrypt(_NONCE, plain, digest)


def _store(spans: list[Sealed]) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT size, leaf FROM floor_head FOR UPDATE")
        size, leaf = cursor.fetchone()
        with cursor.copy(_COPY) as copy:
            copy.set_types(_TYPES)
            for index, (trace_id, span_id, digest, sealed) in enumerate(spans, start=size):
                leaf = hashlib.sha256(leaf + digest).digest()
                copy.write_row((index, trace_id, span_id, leaf, sealed))
        cursor.execute("UPDATE floor_head SET size = %s, leaf = %s", (size + len(spans), leaf))


urlpatterns = [path("v1/traces", traces), path("readyz", ready)]

if URL_VARIABLE in os.environ:
    from settings.environment import database

    _database = database(os.environ[URL_VARIABLE], URL_VARIABLE)
    settings.configure(
        ALLOWED_HOSTS=["127.0.0.1"],
        DATABASES={"default": _database},
        DATA_UPLOAD_MAX_MEMORY_SIZE=20 * 1024 * 1024,
        ROOT_URLCONF=__name__,
        SECRET_KEY=os.urandom(32).hex(),
        USE_TZ=True,
    )
    application = get_wsgi_application()
