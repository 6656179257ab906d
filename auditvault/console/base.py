"""The view under every signed-in page: who it is, which tenant and region, and what happens when it fails."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views import View

from auditvault.access.credentials import Credential
from auditvault.access.identity.strength import Strength, strength_of
from auditvault.access.people import Place, choose_place, credential_of, places_of
from auditvault.console.answers import private, trouble_of, trouble_page

PLACE_PARAMETER = "in"
_REMEMBERED = "console_place"


@method_decorator(private, name="dispatch")
class ConsoleView(View):
    """A page about one place of a signed-in person's."""

    section: ClassVar[str] = ""
    username: str | None
    places: list[Place]
    place: Place
    strength: Strength
    credential: Credential
    now: datetime

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Sign in first, then choose the place, then answer; an error becomes a page."""
        self.places, self.username = [], None
        self.now = datetime.now(UTC)
        try:
            person = request.user
            if not person.is_authenticated:
                return _to_sign_in(request)
            self.username = person.get_username()
            self.places = places_of(person)
            self.place = choose_place(
                self.places,
                asked=request.GET.get(PLACE_PARAMETER) or request.POST.get(PLACE_PARAMETER),
                remembered=request.session.get(_REMEMBERED),
            )
            if request.session.get(_REMEMBERED) != self.place.key:
                request.session[_REMEMBERED] = self.place.key
            self.strength = strength_of(request.session, account=str(person.pk), now=self.now)
            self.credential = credential_of(person, self.place, self.strength)
            return super().dispatch(request, *args, **kwargs)
        except Exception as error:  # noqa: BLE001  # the edge: everything becomes a page
            return trouble_page(request, trouble_of(error), **self._frame())

    def page(self, template: str, context: dict[str, Any], *, status: int = 200) -> HttpResponse:
        """A page in the console's frame."""
        return render(self.request, template, {**self._frame(), **context}, status=status)

    def _frame(self) -> dict[str, Any]:
        return {
            "places": self.places,
            "place": getattr(self, "place", None),
            "person": self.username,
            "section": self.section,
        }


def _to_sign_in(request: HttpRequest) -> HttpResponseBase:
    """The sign-in form; a request of htmx's goes there as a whole page, not as a part of one."""
    if request.headers.get("HX-Request") == "true":
        response = HttpResponse(status=204)
        response["HX-Redirect"] = reverse("console:sign-in")
        return response
    return redirect_to_login(request.get_full_path())
