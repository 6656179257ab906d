"""Copies of a person's data over HTTP: ordering one, the link to it, and fetching it without being anybody here."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from auditvault.access.demands import Demand, needs
from auditvault.api import package_forms as forms
from auditvault.api.access_forms import NoBody
from auditvault.api.base import REGION
from auditvault.api.checking import body_of
from auditvault.api.parsers import BoundedFormParser, BoundedJSONParser
from auditvault.api.privacy_views import PrivacyView
from auditvault.core.policy.roles import Act
from auditvault.privacy.looking import READING
from auditvault.privacy.packages.delivering import redeem
from auditvault.privacy.packages.ordering import make_link, order_package
from auditvault.privacy.packages.reading import show_packages
from auditvault.privacy.packages.store import File

_MISSING, _CONFLICT = 404, 409
_EARLIEST = (1980, 1, 1, 0, 0, 0)
_HOW = """package.p7m holds your data, encrypted. To open it:

  openssl cms -decrypt -binary -inform DER -in package.p7m -inkey key.pem -out package.zip

You are asked for the passphrase that you were given by another way. Where there is no key.pem here, it is your own key.
Then unpack package.zip, and open index.html in a browser.
"""
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Fetch your data</title></head>
<body><h1>Fetch your data</h1>
<p>Paste the code that you were sent. It works once; the file that you get says how to open it.</p>
<form method="post" action=""><label>Code <input name="code" autocomplete="off" required></label>
<button>Fetch</button></form></body></html>
"""


class PackagesView(PrivacyView):
    """The files of a request."""

    demands: ClassVar[Mapping[str, Demand]] = {
        "GET": needs(*READING, answers=(_MISSING,)),
        "POST": needs(Act.APPROVE_ERASURE, who="second_factor", answers=(_MISSING, _CONFLICT)),
    }

    @extend_schema(responses=forms.PackagesResponse, parameters=[REGION])
    def get(self, request: Request, request_id: UUID) -> Response:  # noqa: ARG002
        """How far each region's file is."""
        with self.refusals_recorded():
            shown = show_packages(
                credential=self.credential,
                region=self.region,
                request_id=request_id,
                now=datetime.now(UTC),
            )
        return Response(forms.packages_body(shown))

    @extend_schema(
        request=forms.OrderRequest, responses={201: forms.OrderResponse}, parameters=[REGION]
    )
    def post(self, request: Request, request_id: UUID) -> Response:
        """Order them, once the request is approved; whoever does cannot make the link."""
        given = body_of(forms.OrderRequest, request)
        with self.refusals_recorded():
            passphrase = order_package(
                region=self.region,
                credential=self.credential,
                request_id=request_id,
                certificate=given.get("certificate"),
                now=datetime.now(UTC),
            )
        return Response({"passphrase": passphrase}, status=201)


class PackageLinkView(PrivacyView):
    """The way to a file."""

    demands: ClassVar[Mapping[str, Demand]] = {
        "POST": needs(Act.PREPARE_ERASURE, who="human", answers=(_MISSING, _CONFLICT))
    }

    @extend_schema(request=NoBody, responses={201: forms.LinkResponse}, parameters=[REGION])
    def post(self, request: Request, request_id: UUID) -> Response:
        """To the file of the region that is asked: for once, for 72 hours; older ones lead nowhere any more."""
        NoBody(data=request.data).is_valid(raise_exception=True)
        with self.refusals_recorded():
            link = make_link(
                region=self.region,
                credential=self.credential,
                request_id=request_id,
                now=datetime.now(UTC),
            )
        return Response(forms.link_body(link), status=201)


class PackageFetchView(APIView):
    """What a person fetches by the code of a link. The code is no part of a path: those are logged and kept."""

    authentication_classes = ()
    permission_classes = ()
    parser_classes = (BoundedJSONParser, BoundedFormParser)
    demands: ClassVar[Mapping[str, Demand]] = {
        "GET": Demand(who="anybody", why="A form to paste a code into; it says nothing of any."),
        "POST": Demand(
            who="anybody",
            why="The person whose data it is has no account. The code is theirs, works once, and opens ciphertext.",
            answers=(_MISSING,),
        ),
    }

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:  # noqa: ARG002, FBT001, FBT002  # the framework's signature
        """Whatever is accepted: there is one form, and problems are JSON."""
        return super().perform_content_negotiation(request, force=True)

    @extend_schema(responses={(200, "text/html"): OpenApiTypes.STR})
    def get(self, request: Request) -> HttpResponseBase:  # noqa: ARG002
        """A form; looking at it uses nothing up, so a mail server that follows links does no harm."""
        return HttpResponse(_PAGE, headers={"Cache-Control": "no-store"})

    @extend_schema(
        request={"application/json": forms.FetchRequest},
        responses={(200, "application/zip"): OpenApiTypes.BINARY},
    )
    def post(self, request: Request) -> HttpResponseBase:
        """The encrypted file and how to open it, once; every try at a link that there is, is recorded."""
        given = body_of(forms.FetchRequest, request)
        file = redeem(code=given["code"], now=datetime.now(UTC))
        name = f"your-data-{file.request_id}.zip"
        return HttpResponse(
            _zipped(file),
            content_type="application/zip",
            headers={
                "Content-Disposition": f'attachment; filename="{name}"',
                "Cache-Control": "no-store",
            },
        )


def _zipped(file: File) -> bytes:
    files = {"OPEN.txt": _HOW.encode(), "package.p7m": file.body}
    if file.locked_key is not None:
        files["key.pem"] = file.locked_key
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for name, body in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name, _EARLIEST), body)
    return made.getvalue()
