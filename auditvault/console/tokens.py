"""A person's own token: made in their session, shown once."""

from __future__ import annotations

from datetime import timedelta

from django import forms
from django.http import HttpRequest, HttpResponse, QueryDict

from auditvault.access.demands import signed_in
from auditvault.access.identity.own_tokens import STRONG_LASTS, create_own_token
from auditvault.access.people import Place
from auditvault.console.base import ConsoleView

_DEFAULT_HOURS = int(STRONG_LASTS / timedelta(hours=1))
_LONGEST_HOURS = 366 * 24


class TokenForm(forms.Form):
    """What the token may do, and for how long."""

    hours = forms.IntegerField(
        min_value=1, max_value=_LONGEST_HOURS, initial=_DEFAULT_HOURS, label="Hours that it lives"
    )
    description = forms.CharField(max_length=200, required=False, label="What it is for")

    def __init__(self, place: Place, data: QueryDict | None = None) -> None:
        super().__init__(data, label_suffix="")
        names = [role.value for role in place.roles_in_order]
        self.fields["roles"] = forms.MultipleChoiceField(
            widget=forms.CheckboxSelectMultiple,
            label="Roles",
            choices=[(name, name) for name in names],
            initial=names,
        )


class OwnTokenView(ConsoleView):
    """The form, and the token in the answer to it."""

    demands = {"GET": signed_in(), "POST": signed_in()}
    section = "account"

    def get(self, _request: HttpRequest) -> HttpResponse:
        """The empty form."""
        return self._form(TokenForm(self.place))

    def post(self, request: HttpRequest) -> HttpResponse:
        """The token, this once: to reload the page makes another."""
        form = TokenForm(self.place, request.POST)
        if not form.is_valid():
            return self._form(form, status=400)
        given = form.cleaned_data
        token = create_own_token(
            credential=self.credential,
            roles=given["roles"],
            lifetime=timedelta(hours=given["hours"]),
            now=self.now,
            description=given["description"],
        )
        return self.page("console/account/token_made.html", {"token": token})

    def _form(self, form: TokenForm, *, status: int = 200) -> HttpResponse:
        is_strong = self.credential.strong_until is not None
        return self.page(
            "console/account/token.html", {"form": form, "is_strong": is_strong}, status=status
        )
