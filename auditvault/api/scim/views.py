"""The SCIM endpoints. Every answer is SCIM's own form, every refusal alike, and no name of staff is in a log.

A filter stands in the URL by the standard (RFC 7644 section 3.4.2), and names people. Nothing of this service logs
URLs; the proxy before it must not, for /scim/v2/ (docs/howto/provision-with-scim.md).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, ClassVar

from django.http import HttpRequest, HttpResponse
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from scim2_models import (
    Context,
    ListResponse,
    PatchOp,
    Resource,
    ResourceType,
    ResponseParameters,
    Schema,
    SearchRequest,
)

from auditvault.access.demands import anybody
from auditvault.access.scim import groups, users
from auditvault.access.scim.clients import (
    ScimCaller,
    authenticate_client,
)
from auditvault.api.scim.answers import (
    RefusedError,
    bearer_of,
    body_of,
    equality_of,
    json_answer,
    parameters_of,
    refusal_of,
)
from auditvault.api.scim.resources import (
    PROVIDER,
    Group,
    User,
    group_data,
    group_resource,
    user_data,
    user_resource,
)

_ROOT = "/scim/v2"
_FARTHEST = 2**31
_WHY = "A SCIM client proves itself by a token of its own kind, which is looked at before anything else is."
_BY_CLIENT = anybody(_WHY)
_READ = {"GET": _BY_CLIENT}
_COLLECTION = {"GET": _BY_CLIENT, "POST": _BY_CLIENT}
_ONE = {"GET": _BY_CLIENT, "PUT": _BY_CLIENT, "PATCH": _BY_CLIENT, "DELETE": _BY_CLIENT}
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})


@method_decorator(csrf_exempt, name="dispatch")
class ScimView(View):
    """Checks the client, lets a method answer, and turns every failure into SCIM's error."""

    caller: ScimCaller
    now: datetime
    asked: ResponseParameters[Any]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Authenticate first: who is no client learns nothing, not even what there is."""
        self.now = datetime.now(UTC)
        try:
            self.caller = authenticate_client(bearer_of(request), now=self.now)
            # Before anything is done: what cannot be answered must not have happened.
            self.asked = parameters_of(request)
            with PROVIDER:
                answer = self._handler(str(request.method))(request, *args, **kwargs)
        except Exception as error:  # noqa: BLE001  # the edge: everything becomes an answer
            answer = refusal_of(error)
        answer["Cache-Control"] = "no-store"
        return answer

    def _handler(self, method: str) -> Callable[..., HttpResponse]:
        found: Callable[..., HttpResponse] | None = getattr(self, method.lower(), None)
        if found is None or method not in _METHODS:
            raise RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, "Another method is meant.")
        return found

    @property
    def base(self) -> str:
        """The URL of the root."""
        return self.request.build_absolute_uri(_ROOT)

    def answer(
        self, resource: Any, *, context: Context, status: HTTPStatus = HTTPStatus.OK
    ) -> HttpResponse:
        """A resource or message, with the attributes that were asked for."""
        body = resource.model_dump(scim_ctx=context, response_parameters=self.asked)
        response = json_answer(body, status)
        if status == HTTPStatus.CREATED:
            response["Location"] = resource.meta.location
        return response

    def body(self) -> Any:
        """The request's JSON; raises RefusedError."""
        return body_of(self.request)


class CollectionView(ScimView):
    """Users, or groups: list and make."""

    demands = _COLLECTION

    model: ClassVar[type[Resource[Any]]]

    def find(self, equal: dict[str, str], first: int, limit: int) -> tuple[int, list[Any]]:
        """How many there are, and some of them."""
        raise NotImplementedError

    def make(self, resource: Any) -> Any:
        """Make one."""
        raise NotImplementedError

    def get(self, request: HttpRequest) -> HttpResponse:
        """A page of them; filtered by one attribute that equals a value."""
        search = SearchRequest[self.model].model_validate(  # type: ignore[name-defined]
            {name: value for name, value in request.GET.dict().items() if name in _SEARCH}
        )
        first = min(max((search.start_index or 1) - 1, 0), _FARTHEST)
        limit = users.MAX_PAGE if search.count is None else min(search.count, users.MAX_PAGE)
        total, found = self.find(equality_of(search), first, limit)
        page = ListResponse[self.model](  # type: ignore[name-defined]
            total_results=total,
            start_index=first + 1,
            items_per_page=len(found),
            resources=found,
        )
        return self.answer(page, context=Context.RESOURCE_QUERY_RESPONSE)

    def post(self, _request: HttpRequest) -> HttpResponse:
        """Make one."""
        resource = self.model.model_validate(
            self.body(), scim_ctx=Context.RESOURCE_CREATION_REQUEST
        )
        made = self.make(resource)
        context = Context.RESOURCE_CREATION_RESPONSE
        return self.answer(made, context=context, status=HTTPStatus.CREATED)


class OneView(ScimView):
    """One user, or group."""

    demands = _ONE

    model: ClassVar[type[Resource[Any]]]

    def kept(self, scim_id: str) -> Any:
        """The resource as it is."""
        raise NotImplementedError

    def put_back(self, scim_id: str, resource: Any) -> Any:
        """Let it be as `resource` is."""
        raise NotImplementedError

    def drop(self, scim_id: str) -> None:
        """Take it away."""
        raise NotImplementedError

    def get(self, _request: HttpRequest, scim_id: str) -> HttpResponse:
        """Show it."""
        return self.answer(self.kept(scim_id), context=Context.RESOURCE_QUERY_RESPONSE)

    def put(self, _request: HttpRequest, scim_id: str) -> HttpResponse:
        """Replace what a client may set."""
        kept = self.kept(scim_id)
        resource = self.model.model_validate(
            self.body(), scim_ctx=Context.RESOURCE_REPLACEMENT_REQUEST
        )
        resource.replace(kept)
        context = Context.RESOURCE_REPLACEMENT_RESPONSE
        return self.answer(self.put_back(scim_id, resource), context=context)

    def patch(self, _request: HttpRequest, scim_id: str) -> HttpResponse:
        """Change parts of it; all operations or none."""
        kept = self.kept(scim_id)
        operations = PatchOp[self.model].model_validate(  # type: ignore[name-defined]
            self.body(), scim_ctx=Context.RESOURCE_PATCH_REQUEST
        )
        operations.patch(kept)
        context = Context.RESOURCE_PATCH_RESPONSE
        return self.answer(self.put_back(scim_id, kept), context=context)

    def delete(self, _request: HttpRequest, scim_id: str) -> HttpResponse:
        """Take it away."""
        self.drop(scim_id)
        return HttpResponse(status=HTTPStatus.NO_CONTENT)


class UsersView(CollectionView):
    """The client's users."""

    model = User

    def find(self, equal: dict[str, str], first: int, limit: int) -> tuple[int, list[Any]]:
        """Users."""
        page = users.find_users(self.caller, equal=equal, first=first, limit=limit)
        return page.total, [user_resource(each, self.base) for each in page.users]

    def make(self, resource: Any) -> Any:
        """A user."""
        made = users.create_user(self.caller, user_data(resource), self.now)
        return user_resource(made, self.base)


class UserView(OneView):
    """One of the client's users."""

    model = User

    def kept(self, scim_id: str) -> Any:
        """The user."""
        return user_resource(users.get_user(self.caller, users.as_id(scim_id)), self.base)

    def put_back(self, scim_id: str, resource: Any) -> Any:
        """The user, changed."""
        data = user_data(resource)
        kept = users.replace_user(self.caller, users.as_id(scim_id), data, self.now)
        return user_resource(kept, self.base)

    def drop(self, scim_id: str) -> None:
        """Switched off, for good."""
        users.delete_user(self.caller, users.as_id(scim_id), self.now)


class GroupsView(CollectionView):
    """The client's groups."""

    model = Group

    def find(self, equal: dict[str, str], first: int, limit: int) -> tuple[int, list[Any]]:
        """Groups."""
        page = groups.find_groups(self.caller, equal=equal, first=first, limit=limit)
        return page.total, [group_resource(each, self.base) for each in page.groups]

    def make(self, resource: Any) -> Any:
        """A group."""
        made = groups.create_group(self.caller, group_data(resource), self.now)
        return group_resource(made, self.base)


class GroupView(OneView):
    """One of the client's groups."""

    model = Group

    def kept(self, scim_id: str) -> Any:
        """The group."""
        return group_resource(groups.get_group(self.caller, users.as_id(scim_id)), self.base)

    def put_back(self, scim_id: str, resource: Any) -> Any:
        """The group, changed."""
        data = group_data(resource)
        kept = groups.replace_group(self.caller, users.as_id(scim_id), data, self.now)
        return group_resource(kept, self.base)

    def drop(self, scim_id: str) -> None:
        """Gone, and what it gave."""
        groups.delete_group(self.caller, users.as_id(scim_id))


class ServiceProviderConfigView(ScimView):
    """What is supported."""

    demands = _READ

    def get(self, _request: HttpRequest) -> HttpResponse:
        """RFC 7643 section 5."""
        return json_answer(_described(PROVIDER.config, f"{self.base}/ServiceProviderConfig"))


class DescriptionsView(ScimView):
    """All schemas, or all resource types."""

    demands = _READ

    model: ClassVar[Any] = Schema

    def get(self, request: HttpRequest) -> HttpResponse:
        """Never filtered (RFC 7644 section 4)."""
        if "filter" in request.GET:
            raise RefusedError(HTTPStatus.FORBIDDEN, "These are not filtered.")
        found = [_described(each, f"{self.base}{path}") for path, each in _descriptions(self.model)]
        body = ListResponse[self.model](  # type: ignore[name-defined]
            total_results=len(found), start_index=1, items_per_page=len(found)
        ).model_dump(scim_ctx=Context.RESOURCE_QUERY_RESPONSE)
        return json_answer({**body, "Resources": found})


class DescriptionView(ScimView):
    """One schema, or one resource type."""

    demands = _READ

    model: ClassVar[Any] = Schema

    def get(self, _request: HttpRequest, name: str) -> HttpResponse:
        """By its id."""
        for path, each in _descriptions(self.model):
            if path.rsplit("/", 1)[1] == name:
                return json_answer(_described(each, f"{self.base}{path}"))
        raise users.ScimNotFoundError("There is no such resource.")


class SearchView(ScimView):
    """POST /.search."""

    demands = {"POST": _BY_CLIENT}

    def post(self, _request: HttpRequest) -> HttpResponse:
        """Not supported."""
        raise RefusedError(HTTPStatus.NOT_IMPLEMENTED, "Searching by POST is not supported.")


class NothingView(ScimView):
    """Whatever else is asked for."""

    demands = _READ

    def get(self, *_args: Any, **_kwargs: Any) -> HttpResponse:
        """There is nothing here."""
        raise users.ScimNotFoundError("There is no such resource.")

    post = put = patch = delete = get


_SEARCH = frozenset({"filter", "startIndex", "count", "attributes", "excludedAttributes"})


def _descriptions(model: Any) -> list[tuple[str, Any]]:
    if model is ResourceType:
        return [(f"/ResourceTypes/{each.name}", each) for each in PROVIDER.resource_types]
    return [(f"/Schemas/{each.id}", each) for each in PROVIDER.schemas]


def _described(resource: Any, location: str) -> dict[str, Any]:
    body: dict[str, Any] = resource.model_dump(scim_ctx=Context.RESOURCE_QUERY_RESPONSE)
    kind = type(resource).__name__
    return {**body, "meta": {"resourceType": kind, "location": location}}
