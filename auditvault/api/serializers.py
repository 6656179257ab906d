"""What the JSON endpoints take and give; the OpenAPI schema is made from these."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from auditvault.access.disclosure import FULL, REDACTED
from auditvault.core.policy.access import PurposeCode
from auditvault.traces.selectors import MAX_PAGE

_HEX_TRACE = r"^[0-9a-fA-F]{32}$"
_HASH = r"^(sha256|tag):[0-9a-f]{64}$"
_KIND = r"^[a-z][a-z_]{0,30}$"
# Kinds of identifiers that every tenant has, each a member of its own.
PERSONAL = ("user", "session", "email", "phone")
# Text in a request body is bounded, so that a record of it is.
_SHORT = 256
# As long as an identifier that is recorded; blanks are part of it.
_NAME = 512


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses members that it does not know: a misspelt filter must not silently match everything."""

    def to_internal_value(self, data: Any) -> Any:
        """The validated members; raises ValidationError for an unknown one."""
        if isinstance(data, dict):
            unknown = sorted(str(name) for name in set(data) - set(self.fields))
            if unknown:
                raise serializers.ValidationError(
                    {name: ["Not a member of this request."] for name in unknown},
                    code="unknown_member",
                )
        return super().to_internal_value(data)


class NameRequest(StrictSerializer):
    """What somebody is called, of a kind that the tenant declared."""

    kind = serializers.RegexField(_KIND)
    value = serializers.CharField(max_length=_NAME, trim_whitespace=False)


class TraceSearchRequest(StrictSerializer):
    """Filters, all of which must match. Those that name somebody are personal data, which is why this is a POST."""

    started_from = serializers.DateTimeField(required=False)
    started_before = serializers.DateTimeField(required=False)
    trace_id = serializers.RegexField(_HEX_TRACE, required=False)
    operation = serializers.CharField(max_length=_SHORT, required=False)
    status = serializers.ChoiceField(["unset", "ok", "error"], required=False)
    provider = serializers.CharField(max_length=_SHORT, required=False)
    model = serializers.CharField(max_length=_SHORT, required=False)
    service = serializers.CharField(max_length=_SHORT, required=False)
    environment = serializers.CharField(max_length=_SHORT, required=False)
    feature = serializers.CharField(max_length=_SHORT, required=False)
    error_type = serializers.CharField(max_length=_SHORT, required=False)
    min_total_tokens = serializers.IntegerField(min_value=0, max_value=2**53, required=False)
    user = serializers.CharField(max_length=_NAME, trim_whitespace=False, required=False)
    session = serializers.CharField(max_length=_NAME, trim_whitespace=False, required=False)
    email = serializers.CharField(max_length=_NAME, trim_whitespace=False, required=False)
    phone = serializers.CharField(max_length=_NAME, trim_whitespace=False, required=False)
    identifier = NameRequest(required=False)
    limit = serializers.IntegerField(min_value=1, max_value=MAX_PAGE, default=50)
    cursor = serializers.CharField(max_length=_SHORT, required=False)

    def names(self) -> dict[str, str]:
        """Kind -> name of whoever is looked for; the request must be valid."""
        return self.names_in(self.validated_data)

    @staticmethod
    def names_in(given: dict[str, Any]) -> dict[str, str]:
        """The same of validated members."""
        names = {kind: given[kind] for kind in PERSONAL if kind in given}
        if "identifier" in given:
            names[given["identifier"]["kind"]] = given["identifier"]["value"]
        return names

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """A kind is asked for once: of two names of a kind, one would be ignored."""
        if attrs.get("identifier", {}).get("kind") in PERSONAL:
            raise serializers.ValidationError(
                {"identifier": ["This kind is a member of the request itself."]}, code="invalid"
            )
        return attrs


class TraceSearchResponse(serializers.Serializer[Any]):
    """One page of headers, newest first."""

    interactions = serializers.ListField(child=serializers.DictField())
    next_cursor = serializers.CharField(allow_null=True)


class SpanResponse(serializers.Serializer[Any]):
    """A header, and its place in the trace's tree."""

    header = serializers.DictField()
    depth = serializers.IntegerField()
    missing_parent = serializers.BooleanField()


class TraceResponse(serializers.Serializer[Any]):
    """A trace, depth first."""

    trace_id = serializers.CharField()
    spans = SpanResponse(many=True)


class PurposeRequest(StrictSerializer):
    """Why content is looked at. The reason is sealed in the vault."""

    code = serializers.ChoiceField([code.value for code in PurposeCode])
    case = serializers.CharField(max_length=64)
    reason = serializers.CharField(max_length=2000)


class ResolveRequest(StrictSerializer):
    """A content hash: `sha256:` of the content as it was sent, or an auditvault `tag:`."""

    content_hash = serializers.RegexField(_HASH)
    representation = serializers.ChoiceField([FULL, REDACTED], default=FULL)
    purpose = PurposeRequest()


class RevealedResponse(serializers.Serializer[Any]):
    """One content in clear. `opening` opens the commitment in the interaction's header.

    Of a content whose hash alone was kept (`state` is `hash_only`) `encoding` and `content` are null. Of a redacted
    text (`state` is `redacted`) `sha256` and `opening` are, `size_bytes` is its own, `detector` says what read it.
    """

    object_id = serializers.UUIDField()
    interaction_id = serializers.UUIDField()
    role = serializers.CharField()
    state = serializers.ChoiceField(["sealed", "hash_only", "redacted"])
    encoding = serializers.ChoiceField(["utf-8", "base64"], allow_null=True)
    content = serializers.CharField(allow_null=True)
    size_bytes = serializers.IntegerField()
    sha256 = serializers.CharField(allow_null=True)
    opening = serializers.CharField(allow_null=True)
    detector = serializers.CharField(required=False)


class ResolveResponse(serializers.Serializer[Any]):
    """The contents, and the access record that was committed before they were opened."""

    access_record = serializers.UUIDField()
    contents = RevealedResponse(many=True)
    more = serializers.BooleanField()


class ReceiptResponse(serializers.Serializer[Any]):
    """docs/spec/receipt.md; `inclusion_proof` and `checkpoint` are null until a checkpoint covers the entry."""

    v = serializers.CharField()
    interaction_id = serializers.UUIDField()
    log = serializers.CharField()
    index = serializers.IntegerField()
    entry = serializers.CharField()
    leaf_hash = serializers.CharField()
    inclusion_proof = serializers.DictField(allow_null=True)
    checkpoint = serializers.CharField(allow_null=True)
    header = serializers.CharField(required=False)
    opening = serializers.CharField(required=False)


class LogResponse(serializers.Serializer[Any]):
    """A log of the tenant, and where it ends."""

    id = serializers.IntegerField()
    origin = serializers.CharField()
    kind = serializers.CharField()
    size = serializers.IntegerField()
    root = serializers.CharField()  # type: ignore[assignment]  # the metaclass takes it away
    last_at = serializers.DateTimeField(allow_null=True)


class LogsResponse(serializers.Serializer[Any]):
    """The tenant's logs in the region."""

    logs = LogResponse(many=True)


class CheckpointResponse(serializers.Serializer[Any]):
    """The newest checkpoint: a C2SP signed note."""

    size = serializers.IntegerField()
    root = serializers.CharField()  # type: ignore[assignment]  # the metaclass takes it away
    note = serializers.CharField()
    signed_at = serializers.DateTimeField()


class EntryResponse(serializers.Serializer[Any]):
    """An entry: its canonical bytes in base64."""

    index = serializers.IntegerField()
    record_id = serializers.UUIDField()
    entry = serializers.CharField()


class EntriesResponse(serializers.Serializer[Any]):
    """Entries in order; fewer than asked for where the log ends or a page is full."""

    entries = EntryResponse(many=True)


class ProofResponse(serializers.Serializer[Any]):
    """An inclusion or consistency proof (RFC 9162), hashes in hex."""

    hashes = serializers.ListField(child=serializers.CharField())


class EntriesQuery(StrictSerializer):
    """Which entries: from `start`, up to and without `end`."""

    start = serializers.IntegerField(min_value=0, max_value=2**53)
    end = serializers.IntegerField(min_value=0, max_value=2**53)


class InclusionQuery(StrictSerializer):
    """Which entry, in the tree of which size."""

    index = serializers.IntegerField(min_value=0, max_value=2**53)
    size = serializers.IntegerField(min_value=1, max_value=2**53)


class ConsistencyQuery(StrictSerializer):
    """Which two sizes."""

    to = serializers.IntegerField(min_value=1, max_value=2**53)

    def get_fields(self) -> dict[str, Any]:
        """`from` is a word of Python's, so it cannot be a class attribute."""
        return {
            "from": serializers.IntegerField(min_value=1, max_value=2**53),
            **super().get_fields(),
        }
