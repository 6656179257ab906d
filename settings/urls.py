"""Every URL of the service."""

from __future__ import annotations

from django.urls import include, path

urlpatterns = [
    path("", include("auditvault.api.urls")),
    path("", include("auditvault.console.urls")),
    path("", include("auditvault.console.account.urls")),
]

handler404 = "auditvault.api.problems.not_found"
handler500 = "auditvault.api.problems.server_error"
