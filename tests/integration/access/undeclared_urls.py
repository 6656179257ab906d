"""A view that says nothing about who may call it, and one that says it of one method only."""

from __future__ import annotations

from typing import Any

from django.urls import path
from rest_framework.response import Response
from rest_framework.views import APIView

from auditvault.access.demands import needs
from auditvault.api.base import CallerView
from auditvault.core.policy.access import Act


class Bare(APIView):
    def get(self, _request: Any) -> Response:
        return Response({})


class Half(CallerView):
    demands = {"GET": needs(Act.READ_HEADERS)}

    def get(self, _request: Any) -> Response:
        return Response({})

    def post(self, _request: Any) -> Response:
        return Response({})


for _view in (Bare, Half):
    _view.__module__ = "auditvault.api.made_up"

urlpatterns = [path("bare", Bare.as_view()), path("half", Half.as_view())]
