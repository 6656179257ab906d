"""The header fields that an attribute may fill, and their checks (`docs/spec/header.md`).

Fields that are taken from the span itself (ids, times, status, …) are not here: no attribute can
set them.
"""

from __future__ import annotations

from typing import Final, Literal

CheckName = Literal[
    "word",
    "model",
    "name",
    "id",
    "host",
    "count",
    "integer",
    "decimal",
    "truth",
    "words",
    "operation",
]

_FIELDS_BY_CHECK: Final[dict[CheckName, str]] = {
    "operation": "operation",
    "word": """
        environment sdk_name sdk_language provider output_type reasoning_level
        service_tier_requested service_tier tool_type database_system error_type http_method
        lawful_basis consent
    """,
    "model": "model model_requested model_responded",
    "name": """
        service_name service_namespace prompt_name tool_name agent_name workflow_name entity_name
        feature processing_purpose
        graph_node_name
    """,
    "id": """
        service_version service_instance_id sender_tenant sdk_version response_id
        previous_response_id system_fingerprint prompt_version tool_call_id agent_id agent_version
        graph_node_id graph_node_parent_id data_source_id
    """,
    "host": "server_address",
    "count": """
        server_port input_tokens output_tokens total_tokens cache_read_tokens cache_write_tokens
        reasoning_tokens input_text_tokens input_image_tokens input_audio_tokens output_text_tokens
        output_image_tokens output_audio_tokens max_tokens choice_count retrieval_top_k
        embedding_dimensions http_status
    """,
    "integer": "seed",
    "decimal": """
        cost_usd cost_input_usd cost_output_usd first_token_seconds temperature top_p top_k
        frequency_penalty presence_penalty repetition_penalty
    """,
    "truth": "stream conversation_compacted",
    "words": "finish_reasons encoding_formats",
}

ATTRIBUTE_FIELDS: Final[dict[str, CheckName]] = {
    field: check for check, fields in _FIELDS_BY_CHECK.items() for field in fields.split()
}
"""Header field -> name of its check."""

SPAN_FIELDS: Final = frozenset(
    {
        "v",
        "trace_id",
        "span_id",
        "parent_span_id",
        "flags",
        "name",
        "kind",
        "started_at",
        "ended_at",
        "clock",
        "status",
        "events",
        "event_count",
        "links",
        "link_count",
        "dropped_attributes",
        "dropped_events",
        "dropped_links",
        "withheld",
        "redacted_at_source",
        "scope_name",
        "scope_version",
        "semconv",
        "operation_as_sent",
    }
)
"""Header fields that come from the span itself or are derived."""

OPERATIONS: Final[dict[str, str]] = {
    "LLM": "chat",
    "CHAT_MODEL": "chat",
    "EMBEDDING": "embeddings",
    "TOOL": "execute_tool",
    "AGENT": "invoke_agent",
    "RETRIEVER": "retrieval",
    "RERANKER": "rerank",
    "CHAIN": "chain",
    "GUARDRAIL": "guardrail",
    "EVALUATOR": "evaluation",
    "PROMPT": "prompt",
    "tool": "execute_tool",
    "agent": "invoke_agent",
    "completion": "text_completion",
    "embedding": "embeddings",
    "generation": "chat",
    "retriever": "retrieval",
}
"""Sender's word -> `operation`, where they differ. Words that are not here are taken as they are.
"""

CONTENT_OWNERS: Final[dict[str, Literal["subject", "tenant"]]] = {
    "input_messages": "subject",
    "output_messages": "subject",
    "input": "subject",
    "output": "subject",
    "system_instructions": "tenant",
    "tool_definitions": "tenant",
    "prompt_template": "tenant",
    "tool_arguments": "subject",
    "tool_result": "subject",
    "retrieval_query": "subject",
    "retrieval_documents": "subject",
    "rerank_documents": "subject",
    "embedding_text": "subject",
    "prompt_variables": "subject",
    "error_message": "subject",
    "events": "subject",
    "attributes": "subject",
}
"""Every role a content can have -> whose key seals it."""

INVOCATION_PARAMETERS: Final[dict[str, str]] = {
    "model": "model_requested",
    "temperature": "temperature",
    "max_tokens": "max_tokens",
    "max_completion_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "top_p": "top_p",
    "top_k": "top_k",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "stream": "stream",
    "seed": "seed",
    "n": "choice_count",
    "reasoning_effort": "reasoning_level",
    "service_tier": "service_tier_requested",
    "encoding_format": "encoding_formats",
}
"""Member of OpenInference's `*.invocation_parameters` -> header field.

The attribute itself is sealed whole.
"""

USAGE_MEMBERS: Final[dict[tuple[str, ...], str]] = {
    ("input",): "input_tokens",
    ("input_tokens",): "input_tokens",
    ("prompt_tokens",): "input_tokens",
    ("output",): "output_tokens",
    ("output_tokens",): "output_tokens",
    ("completion_tokens",): "output_tokens",
    ("total",): "total_tokens",
    ("total_tokens",): "total_tokens",
    ("input_cached_tokens",): "cache_read_tokens",
    ("cache_read_input_tokens",): "cache_read_tokens",
    ("prompt_tokens_details", "cached_tokens"): "cache_read_tokens",
    ("input_tokens_details", "cached_tokens"): "cache_read_tokens",
    ("input_cache_creation",): "cache_write_tokens",
    ("cache_creation_input_tokens",): "cache_write_tokens",
    ("output_reasoning_tokens",): "reasoning_tokens",
    ("completion_tokens_details", "reasoning_tokens"): "reasoning_tokens",
    ("output_tokens_details", "reasoning_tokens"): "reasoning_tokens",
}
"""Path in a JSON of usage (Langfuse's, MLflow's, the provider's own) -> header field.

Where two paths name one field, the first that is there counts. The attribute is sealed whole.
"""
