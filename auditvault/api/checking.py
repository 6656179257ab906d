"""What a request sends, once it has been checked against its form."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request

from auditvault.api.serializers import StrictSerializer


def body_of(form_class: type[StrictSerializer], request: Request) -> dict[str, Any]:
    """The checked members of a request's body; raises ValidationError."""
    return _checked(form_class, request.data)


def query_of(form_class: type[StrictSerializer], request: Request) -> dict[str, Any]:
    """The checked parameters of a request's URL; raises ValidationError."""
    return _checked(form_class, request.query_params.dict())


def _checked(form_class: type[StrictSerializer], data: Any) -> dict[str, Any]:
    form = form_class(data=data)
    form.is_valid(raise_exception=True)
    found: dict[str, Any] = form.validated_data
    return found
