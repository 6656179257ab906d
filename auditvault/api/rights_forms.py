"""What the endpoints for people, roles and tokens take and give."""

from __future__ import annotations

from rest_framework import serializers

from auditvault.access.staff import MAX_PEOPLE
from auditvault.api.serializers import StrictSerializer
from auditvault.core.policy.roles import CUSTOM_ACTS

_ROLE = r"^[a-z][a-z0-9_:-]{0,30}$"
_CASE = r"^[A-Za-z0-9][A-Za-z0-9._/#-]{0,63}$"
_MOST_ROLES = 20


class CaseQuery(StrictSerializer):
    """What a change was decided on."""

    case = serializers.RegexField(_CASE)


class PeopleQuery(StrictSerializer):
    """Which page of people."""

    after = serializers.UUIDField(required=False)
    limit = serializers.IntegerField(min_value=1, max_value=MAX_PEOPLE, default=50)


class RoleGrantRequest(CaseQuery):
    """A role to give, and when it ends by itself."""

    role = serializers.RegexField(_ROLE)
    ends_at = serializers.DateTimeField(required=False)


class RoleRevokeQuery(CaseQuery):
    """A role to take away. Nothing personal: it stands in the URL."""

    role = serializers.RegexField(_ROLE)


class RoleChangeRequest(CaseQuery):
    """What a role is to allow from now on."""

    acts = serializers.ListField(
        child=serializers.ChoiceField(sorted(CUSTOM_ACTS)),
        min_length=1,
        max_length=len(CUSTOM_ACTS),
    )


class RoleDefinitionRequest(RoleChangeRequest):
    """A role of the tenant's own."""

    name = serializers.RegexField(r"^[a-z][a-z0-9_-]{1,23}$")


class TokenRequest(StrictSerializer):
    """A machine's token: its scope, and how long it lives."""

    regions = serializers.ListField(
        child=serializers.RegexField(r"^[a-z][a-z0-9_-]{0,30}$"),
        min_length=1,
        max_length=_MOST_ROLES,
    )
    roles = serializers.ListField(
        child=serializers.RegexField(_ROLE), min_length=1, max_length=_MOST_ROLES
    )
    lifetime_seconds = serializers.IntegerField(min_value=1, max_value=366 * 86_400)
    description = serializers.CharField(
        max_length=200, required=False, allow_blank=True, default=""
    )


class TokenRotationRequest(StrictSerializer):
    """How long the old token lives on."""

    overlap_seconds = serializers.IntegerField(min_value=0, max_value=7 * 86_400)


class HeldRole(serializers.Serializer[object]):
    """A role of somebody's; it may have ended."""

    role = serializers.CharField()
    ends_at = serializers.DateTimeField(allow_null=True)
    by_group = serializers.BooleanField()


class Person(serializers.Serializer[object]):
    """An account that the tenant knows."""

    id = serializers.UUIDField()
    username = serializers.CharField()
    is_active = serializers.BooleanField()
    roles = HeldRole(many=True)


class PeopleResponse(serializers.Serializer[object]):
    """A page of people, and after whom the next begins."""

    people = Person(many=True)
    next_after = serializers.UUIDField(allow_null=True)


class RoleChangeResponse(serializers.Serializer[object]):
    """The entry's record id; null where nothing had to change."""

    record = serializers.UUIDField(allow_null=True)


class RoleResponse(serializers.Serializer[object]):
    """A role and what it allows."""

    role = serializers.CharField()
    acts = serializers.ListField(child=serializers.CharField())
    is_retired = serializers.BooleanField()


class RolesResponse(serializers.Serializer[object]):
    """Every role that there is on the tenant."""

    roles = RoleResponse(many=True)


class Token(serializers.Serializer[object]):
    """A token, without its secret."""

    id = serializers.CharField()
    of_person = serializers.BooleanField()
    regions = serializers.ListField(child=serializers.CharField())
    roles = serializers.ListField(child=serializers.CharField())
    description = serializers.CharField(allow_blank=True)
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(allow_null=True)
    revoked_at = serializers.DateTimeField(allow_null=True)
    successor = serializers.CharField(allow_null=True)


class TokensResponse(serializers.Serializer[object]):
    """Tokens, newest first."""

    tokens = Token(many=True)


class NewTokenResponse(serializers.Serializer[object]):
    """A token, this once."""

    id = serializers.CharField()
    token = serializers.CharField()
    expires_at = serializers.DateTimeField()
