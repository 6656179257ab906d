"""OTLP answers, read back with Google's own classes."""

from __future__ import annotations

import json

from google.protobuf import json_format
from google.rpc.error_details_pb2 import BadRequest  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from auditvault.ingest.otlp.status import (
    RpcCode,
    encode_response,
    encode_status,
    rejection_message,
)


def test_success_leaves_partial_success_unset() -> None:
    response = ExportTraceServiceResponse.FromString(encode_response({}, "protobuf"))
    assert not response.HasField("partial_success")
    assert encode_response({}, "json") == b"{}"


def test_rejections_become_a_partial_success_in_both_encodings() -> None:
    rejections = {"too_deep": 2, "bad_span_id": 1}
    response = ExportTraceServiceResponse.FromString(encode_response(rejections, "protobuf"))
    from_json = json_format.Parse(encode_response(rejections, "json"), ExportTraceServiceResponse())
    assert response == from_json
    assert response.partial_success.rejected_spans == 3
    assert response.partial_success.error_message == "bad_span_id: 1, too_deep: 2"


def test_reasons_with_nothing_rejected_are_not_named() -> None:
    assert rejection_message({"too_deep": 0}) == ""


@given(
    code=st.sampled_from(RpcCode),
    message=st.text(max_size=300),
    bad_field=st.none() | st.text(min_size=1, max_size=200),
)
def test_a_status_reads_back_with_googles_own_classes(
    code: RpcCode, message: str, bad_field: str | None
) -> None:
    status = Status.FromString(encode_status(code, message, "protobuf", bad_field=bad_field))
    assert (status.code, status.message) == (code, message)
    details = [BadRequest.FromString(detail.value) for detail in status.details]
    violations = [
        (item.field, item.description) for one in details for item in one.field_violations
    ]
    assert violations == ([] if bad_field is None else [(bad_field, message)])
    from_json = json_format.Parse(
        encode_status(code, message, "json", bad_field=bad_field), Status()
    )
    assert from_json == status


def test_a_json_status_has_the_type_of_its_details() -> None:
    status = json.loads(encode_status(3, "no", "json", bad_field="body"))
    assert status["details"][0]["@type"] == "type.googleapis.com/google.rpc.BadRequest"
