"""Signing in through an identity provider.

The way there is a page and not a redirect: a browser applies the policy on forms to redirects after one, and that
policy names this site alone.
"""

from __future__ import annotations

import requests
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_POST

from auditvault.access.demands import anybody, demanding
from auditvault.access.identity import oidc
from auditvault.access.identity.providers import refuse_sign_up
from auditvault.console.answers import guarded, log, private


@demanding(POST=anybody("Who is signing in is nobody yet."))
@private
@guarded
@require_POST
def begin(request: HttpRequest, provider_id: str) -> HttpResponse:
    """By POST only, so that no link of somebody else's starts it."""
    try:
        answer = oidc.begin(request, provider_id)
    except (OAuth2Error, requests.RequestException) as error:
        return _failed(request, error)
    if isinstance(answer, HttpResponseRedirect):
        return render(request, "console/account/going.html", {"url": answer.url})
    return answer


@demanding(GET=anybody("Who is signing in is nobody yet."))
@private
@guarded
@require_GET
def done(request: HttpRequest, provider_id: str) -> HttpResponse:
    """What the provider answers; anything that is not for this attempt is one refusal."""
    try:
        return oidc.finish(request, provider_id)
    except (OAuth2Error, requests.RequestException) as error:
        return _failed(request, error)


def _failed(request: HttpRequest, error: Exception) -> HttpResponse:
    # The error's text may repeat what the other side sent.
    log.warning("an identity provider's answer was refused: %s", type(error).__name__)
    return refuse_sign_up(request, "provider")
