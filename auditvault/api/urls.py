"""Paths of the machine interface (design section 7)."""

from __future__ import annotations

from django.urls import path

from auditvault.api import health, otlp, rights, tlog, views

urlpatterns = [
    path("v1/traces", otlp.traces, name="otlp-traces"),
    path("api/v1/traces/search", views.TraceSearchView.as_view()),
    path("api/v1/traces/<str:trace_id>", views.TraceView.as_view()),
    path("api/v1/resolve", views.ResolveView.as_view()),
    path("api/v1/receipts/<uuid:interaction_id>", views.ReceiptView.as_view()),
    path("api/v1/receipts/<uuid:interaction_id>/tlog-proof", views.TlogProofView.as_view()),
    path("api/v1/logs", views.LogsView.as_view()),
    path("api/v1/logs/<int:log_id>/checkpoint", views.CheckpointView.as_view()),
    path("api/v1/logs/<int:log_id>/entries", views.EntriesView.as_view()),
    path("api/v1/logs/<int:log_id>/proof/inclusion", views.InclusionProofView.as_view()),
    path("api/v1/logs/<int:log_id>/proof/consistency", views.ConsistencyProofView.as_view()),
    path("api/v1/access/people", rights.PeopleView.as_view()),
    path("api/v1/access/people/<uuid:person>/roles", rights.PersonRolesView.as_view()),
    path("api/v1/access/roles", rights.RolesView.as_view()),
    path("api/v1/access/roles/<str:name>", rights.RoleView.as_view()),
    path("api/v1/access/tokens", rights.TokensView.as_view()),
    path("api/v1/access/tokens/<str:token>/rotate", rights.TokenRotationView.as_view()),
    path("api/v1/access/tokens/<str:token>/revoke", rights.TokenRevocationView.as_view()),
    path("tlog/<uuid:log>/checkpoint", tlog.checkpoint),
    path("tlog/<uuid:log>/tile/entries/<path:bundle>", tlog.entries),
    path("tlog/<uuid:log>/tile/<path:tile>", tlog.tile),
    path("api/schema/", views.SchemaView.as_view(), name="schema"),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("metrics", health.metrics),
]
