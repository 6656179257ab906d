"""SCIM's users and groups, as far as this service keeps them, and to and from what it keeps.

Attributes that are not declared here are dropped unread: a provider may send a whole personnel file, and of staff, too,
nothing is kept that is not needed. What no client may set (`id`, `meta`, `groups`) is read-only to the library.
"""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from pydantic import Field
from scim2_models import (
    URN,
    AuthenticationScheme,
    Bulk,
    CaseExact,
    ChangePassword,
    ComplexAttribute,
    Email,
    ETag,
    Filter,
    GroupMembership,
    Meta,
    Mutability,
    Name,
    Patch,
    Reference,
    Required,
    Resource,
    ScimPolicy,
    ScimProvider,
    ServiceProviderConfig,
    Sort,
    Uniqueness,
)

from auditvault.access.scim.groups import GroupData, ProvisionedGroup
from auditvault.access.scim.users import MAX_PAGE, Provisioned, ScimValueError, UserData

_LONGEST = 254
_MOST_ADDRESSES = 20
_MOST_MEMBERS = 10_000


class User(Resource[Any]):
    """Somebody who works here."""

    __schema__ = URN("urn:ietf:params:scim:schemas:core:2.0:User")

    user_name: Annotated[str | None, Uniqueness.server, Required.true] = None
    """Unique among the users of one client."""

    name: Name | None = None
    """The components of the user's name."""

    display_name: str | None = None
    """The name to show."""

    active: bool | None = None
    """Whether the user may do anything."""

    emails: list[Email] | None = None
    """Addresses."""

    groups: Annotated[list[GroupMembership] | None, Mutability.read_only] = None
    """The groups that the user is in."""


class Member(ComplexAttribute):
    """A member of a group: a user, by its id. Its name stands with the user alone."""

    value: Annotated[str | None, Mutability.immutable, CaseExact.true] = None
    ref: Annotated[Reference[User] | None, Mutability.immutable] = Field(
        None, serialization_alias="$ref", validation_alias="$ref"
    )
    type: Annotated[str | None, Mutability.immutable] = Field(None, examples=["User"])


class Group(Resource[Any]):
    """Users of one client."""

    __schema__ = URN("urn:ietf:params:scim:schemas:core:2.0:Group")

    display_name: Annotated[str | None, Required.true] = None
    """The name to show."""

    members: list[Member] | None = None
    """Users."""


_CONFIG = ServiceProviderConfig(
    patch=Patch(supported=True),
    bulk=Bulk(supported=False, max_operations=0, max_payload_size=0),
    filter=Filter(supported=True, max_results=MAX_PAGE),
    change_password=ChangePassword(supported=False),
    sort=Sort(supported=False),
    etag=ETag(supported=False),
    authentication_schemes=[
        AuthenticationScheme(
            type=AuthenticationScheme.Type.oauthbearertoken,
            name="Bearer token",
            description="A SCIM client's token, made by `auditvault scim_token`.",
            primary=True,
        )
    ],
)
POLICY = ScimPolicy(unknown=ScimPolicy.Unknown.ignore)
PROVIDER = ScimProvider(models=[User, Group], config=_CONFIG, policy=POLICY)


def user_data(user: User) -> UserData:
    """What a client says of a user; raises ScimValueError for what is too long or too much."""
    emails = user.emails or []
    if len(emails) > _MOST_ADDRESSES:
        raise ScimValueError(f"A user has at most {_MOST_ADDRESSES} addresses.")
    given, family = (user.name.given_name, user.name.family_name) if user.name else (None, None)
    chosen = next((each for each in emails if each.primary), emails[0] if emails else None)
    return UserData(
        user_name=_text("userName", user.user_name),
        external_id=_text("externalId", user.external_id, empty=True),
        is_active=user.active,
        profile=_profile(user),
        given_name=given or "",
        family_name=family or "",
        email=_text("emails", str(chosen.value) if chosen and chosen.value else "", empty=True),
    )


def user_resource(found: Provisioned, base: str) -> User:
    """A user as a client sees it; `base` is the URL of /scim/v2."""
    resource: User = User.model_validate(
        {
            "schemas": [str(User.__schema__)],
            "userName": found.data.user_name,
            "active": found.data.is_active,
            **found.data.profile,
        }
    )
    resource.id, resource.external_id = str(found.scim_id), found.data.external_id or None
    resource.groups = [
        GroupMembership(
            value=str(scim_id),
            display=name,
            type="direct",
            ref=Reference(f"{base}/Groups/{scim_id}"),
        )
        for scim_id, name in found.groups
    ] or None
    resource.meta = _meta("User", f"{base}/Users/{found.scim_id}", found)
    return resource


def group_data(group: Group) -> GroupData:
    """What a client says of a group; raises ScimValueError."""
    members = group.members or []
    if len(members) > _MOST_MEMBERS:
        raise ScimValueError(f"A group has at most {_MOST_MEMBERS} members.")
    return GroupData(
        display_name=_text("displayName", group.display_name),
        external_id=_text("externalId", group.external_id, empty=True),
        members=frozenset(_member(each) for each in members),
    )


def group_resource(found: ProvisionedGroup, base: str) -> Group:
    """A group as a client sees it."""
    return Group(
        id=str(found.scim_id),
        external_id=found.data.external_id or None,
        display_name=found.data.display_name,
        members=[
            Member(value=str(scim_id), type="User", ref=Reference(f"{base}/Users/{scim_id}"))
            for scim_id in sorted(found.data.members)
        ]
        or None,
        meta=_meta("Group", f"{base}/Groups/{found.scim_id}", found),
    )


def _meta(kind: str, location: str, found: Provisioned | ProvisionedGroup) -> Meta:
    return Meta(
        resource_type=kind,
        created=found.created_at,
        last_modified=found.changed_at,
        location=location,
    )


def _member(member: Member) -> UUID:
    try:
        return UUID(member.value or "")
    except ValueError as error:
        raise ScimValueError("A member is not a user of this client.") from error


def _text(name: str, value: str | None, *, empty: bool = False) -> str:
    if not value and not empty:
        raise ScimValueError(f"{name} is missing.")
    if value and len(value) > _LONGEST:
        raise ScimValueError(f"{name} is longer than {_LONGEST} characters.")
    return value or ""


def _profile(user: User) -> dict[str, Any]:
    said = user.model_dump()
    kept = {name: said[name] for name in ("name", "displayName", "emails") if said.get(name)}
    for each in _texts(kept):
        _text("A value", each)
    return kept


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for each in value.values() for text in _texts(each)]
    if isinstance(value, list):
        return [text for each in value for text in _texts(each)]
    return [value] if isinstance(value, str) and value else []
