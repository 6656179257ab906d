"""Paths of the console."""

from __future__ import annotations

from django.urls import path

from auditvault.console import sessions, tokens, views

app_name = "console"
urlpatterns = [
    path("", views.InteractionsView.as_view(), name="interactions"),
    path("t/<str:trace_id>", views.TraceView.as_view(), name="trace"),
    path("r/<uuid:interaction_id>.json", views.ReceiptView.as_view(), name="receipt"),
    path("account/token", tokens.OwnTokenView.as_view(), name="own-token"),
    path("sign-in", sessions.SignInView.as_view(), name="sign-in"),
    path("sign-out", sessions.SignOutView.as_view(), name="sign-out"),
]
