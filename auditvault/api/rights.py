"""The JSON endpoints for whoever gives roles: people, roles, and machines' tokens of a tenant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from auditvault.access.admission import record_refusal
from auditvault.access.custom_roles import services as custom_roles
from auditvault.access.demands import needs
from auditvault.access.granting import giver_in, grant, person_of, place_in, revoke
from auditvault.access.machine_tokens import (
    KnownToken,
    NewToken,
    create_machine_token,
    known_tokens,
    maker_of,
    revoke_known_token,
    rotate_token,
)
from auditvault.access.staff import Colleague, colleagues
from auditvault.access.tokens import tenant_with_id
from auditvault.api import rights_forms as forms
from auditvault.api.base import REGION, RegionView, operation_of
from auditvault.api.checking import body_of, query_of
from auditvault.core.policy.roles import ALLOWED, Act, CustomRole, Role

_TRIED = frozenset(
    {
        "role_own",
        "duties_not_separate",
        "every_region_required",
        "person_not_found",
        "role_not_found",
        "role_not_held",
        "token_not_found",
    }
)
_LOOK = needs(Act.GRANT_ROLES)
_CHANGE = needs(Act.GRANT_ROLES, who="second_factor", answers=(404, 409))


class RightsView(RegionView):
    """A view of which every refusal is recorded: who tries to get at rights is to be seen."""

    def handle_exception(self, error: Exception) -> Response:
        """The answer; what a service refused is recorded first, as what the demand refuses is."""
        answer: Response = super().handle_exception(error)
        if getattr(error, "code", None) in _TRIED:
            record_refusal(
                credential=self.credential,
                operation=operation_of(self.request),
                region=self.region_asked,
                code=str(error.code),  # type: ignore[attr-defined]
                now=datetime.now(UTC),
            )
        return answer


class PeopleView(RightsView):
    """The accounts that the tenant knows."""

    demands = {"GET": _LOOK}

    @extend_schema(responses=forms.PeopleResponse, parameters=[REGION, forms.PeopleQuery])
    def get(self, request: Request) -> Response:
        """Each account with its roles in the region, by id. Recorded."""
        query = query_of(forms.PeopleQuery, request)
        page = colleagues(
            credential=self.credential,
            region=self.region,
            after=query.get("after"),
            limit=query["limit"],
            now=datetime.now(UTC),
        )
        return Response(
            {"people": [_person(each) for each in page.people], "next_after": page.next_after}
        )


class PersonRolesView(RightsView):
    """The roles of one account in the region."""

    demands = {"POST": _CHANGE, "DELETE": _CHANGE}

    @extend_schema(
        request=forms.RoleGrantRequest,
        responses={200: forms.RoleChangeResponse, 201: forms.RoleChangeResponse},
        parameters=[REGION],
    )
    def post(self, request: Request, person: UUID) -> Response:
        """Give a role; 200 where the account holds it just so already, and nothing was recorded."""
        now = datetime.now(UTC)
        given = body_of(forms.RoleGrantRequest, request)
        giver = giver_in(self.credential, self.region, now)
        record_id = grant(
            giver=giver,
            account=person_of(self.credential.tenant_id, person),
            place=place_in(self.credential.tenant_id, self.region),
            now=now,
            **given,
        )
        return Response({"record": record_id}, status=201 if record_id else 200)

    @extend_schema(
        responses={200: forms.RoleChangeResponse}, parameters=[REGION, forms.RoleRevokeQuery]
    )
    def delete(self, request: Request, person: UUID) -> Response:
        """Take a role away; it counts for nothing from the next request on."""
        query = query_of(forms.RoleRevokeQuery, request)
        giver = giver_in(self.credential, self.region, datetime.now(UTC))
        record_id = revoke(
            giver=giver,
            account=person_of(self.credential.tenant_id, person),
            place=place_in(self.credential.tenant_id, self.region),
            **query,
        )
        return Response({"record": record_id})


class RolesView(RightsView):
    """The roles that people can be given on the tenant."""

    demands = {"GET": _LOOK, "POST": _CHANGE}

    @extend_schema(responses=forms.RolesResponse, parameters=[REGION])
    def get(self, request: Request) -> Response:  # noqa: ARG002
        """The fixed ones, then the tenant's own by name, retired ones too."""
        fixed = [
            _role(role.value, ALLOWED[role], is_retired=False)
            for role in Role
            if role is not Role.INGEST
        ]
        own = [
            _role(each.role.value, each.role.acts, is_retired=each.retired_at is not None)
            for each in custom_roles.definitions(self.credential.tenant_id)
        ]
        return Response({"roles": fixed + own})

    @extend_schema(
        request=forms.RoleDefinitionRequest,
        responses={201: forms.RoleResponse},
        parameters=[REGION],
    )
    def post(self, request: Request) -> Response:
        """Make a role of the tenant's own; takes the right to give roles in each of its regions."""
        given = body_of(forms.RoleDefinitionRequest, request)
        giver = custom_roles.giver_everywhere(self.credential, datetime.now(UTC))
        made = custom_roles.define_role(giver=giver, tenant_id=self.credential.tenant_id, **given)
        return Response(_own(made), status=201)


class RoleView(RightsView):
    """One of the tenant's own roles."""

    demands = {"PUT": _CHANGE, "DELETE": _CHANGE}

    @extend_schema(
        request=forms.RoleChangeRequest, responses=forms.RoleResponse, parameters=[REGION]
    )
    def put(self, request: Request, own_role: str) -> Response:
        """Let it allow other acts, for all who hold it."""
        given = body_of(forms.RoleChangeRequest, request)
        giver = custom_roles.giver_everywhere(self.credential, datetime.now(UTC))
        changed = custom_roles.change_role(
            giver=giver,
            held=self.credential.held,
            tenant_id=self.credential.tenant_id,
            name=own_role,
            **given,
        )
        return Response(_own(changed))

    @extend_schema(responses={200: forms.RoleResponse}, parameters=[REGION, forms.CaseQuery])
    def delete(self, request: Request, own_role: str) -> Response:
        """Let it allow nobody anything any more; its name is never used again."""
        now = datetime.now(UTC)
        query = query_of(forms.CaseQuery, request)
        giver = custom_roles.giver_everywhere(self.credential, now)
        gone = custom_roles.retire_role(
            giver=giver, tenant_id=self.credential.tenant_id, name=own_role, now=now, **query
        )
        return Response(_role(gone.value, gone.acts, is_retired=True))


class TokensView(RightsView):
    """The tenant's tokens where the caller gives roles."""

    demands = {"GET": _LOOK, "POST": _CHANGE}

    @extend_schema(responses=forms.TokensResponse, parameters=[REGION])
    def get(self, request: Request) -> Response:  # noqa: ARG002
        """Each with its scope and last use, newest first; never a secret."""
        found = known_tokens(self.credential)
        return Response({"tokens": [_token(each) for each in found]})

    @extend_schema(
        request=forms.TokenRequest,
        responses={201: forms.NewTokenResponse},
        parameters=[REGION],
    )
    def post(self, request: Request) -> Response:
        """Make a machine's token, and show it this once."""
        now = datetime.now(UTC)
        given = body_of(forms.TokenRequest, request)
        maker = maker_of(self.credential, now)
        made = create_machine_token(
            tenant=tenant_with_id(self.credential.tenant_id),
            regions=given["regions"],
            roles=given["roles"],
            lifetime=timedelta(seconds=given["lifetime_seconds"]),
            description=given["description"],
            now=now,
            maker=maker,
        )
        return Response(_new_token(made), status=201)


class TokenRotationView(RightsView):
    """A token's successor."""

    demands = {"POST": _CHANGE}

    @extend_schema(
        request=forms.TokenRotationRequest,
        responses={201: forms.NewTokenResponse},
        parameters=[REGION],
    )
    def post(self, request: Request, token: str) -> Response:
        """Make a token of the same scope; the old one lives on for the overlap."""
        now = datetime.now(UTC)
        given = body_of(forms.TokenRotationRequest, request)
        maker = maker_of(self.credential, now)
        made = rotate_token(
            public_id=token,
            overlap=timedelta(seconds=given["overlap_seconds"]),
            now=now,
            tenant_id=self.credential.tenant_id,
            maker=maker,
        )
        return Response(_new_token(made), status=201)


class TokenRevocationView(RightsView):
    """A token's end."""

    demands = {"POST": _CHANGE}

    @extend_schema(request=None, responses={204: None}, parameters=[REGION])
    def post(self, request: Request, token: str) -> Response:  # noqa: ARG002
        """Revoke it; from the next request on. 503: it is revoked and not recorded yet, ask again."""
        now = datetime.now(UTC)
        revoke_known_token(
            public_id=token,
            now=now,
            tenant_id=self.credential.tenant_id,
            maker=maker_of(self.credential, now),
        )
        return Response(status=204)


def _person(person: Colleague) -> dict[str, Any]:
    return {
        "id": person.public_id,
        "username": person.username,
        "is_active": person.is_active,
        "roles": [
            {"role": held.role, "ends_at": held.ends_at, "by_group": held.by_group}
            for held in person.roles
        ],
    }


def _own(role: CustomRole) -> dict[str, Any]:
    return _role(role.value, role.acts, is_retired=False)


def _role(name: str, acts: frozenset[Act], *, is_retired: bool) -> dict[str, Any]:
    return {"role": name, "acts": sorted(act.value for act in acts), "is_retired": is_retired}


def _token(token: KnownToken) -> dict[str, Any]:
    return {
        "id": token.public_id,
        "of_person": token.of_person,
        "regions": list(token.regions),
        "roles": list(token.roles),
        "description": token.description,
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "last_used_at": token.last_used_at,
        "revoked_at": token.revoked_at,
        "successor": token.successor,
    }


def _new_token(made: NewToken) -> dict[str, Any]:
    return {"id": made.public_id, "token": made.token, "expires_at": made.expires_at}
