"""Paths of the machine interface (design section 7)."""

from __future__ import annotations

from django.urls import path
from scim2_models import ResourceType, Schema

from auditvault.api import (
    access_views,
    alert_views,
    approval_views,
    break_glass_views,
    export_views,
    grant_views,
    health,
    hold_views,
    otlp,
    package_views,
    people,
    privacy_execution_views,
    privacy_import_views,
    privacy_restriction_views,
    privacy_views,
    rights,
    tlog,
    transfer_views,
    views,
)
from auditvault.api.scim import views as scim
from auditvault.core.policy.erasure import Action

urlpatterns = [
    path("v1/traces", otlp.traces, name="otlp-traces"),
    path("api/v1/traces/search", views.TraceSearchView.as_view()),
    path("api/v1/traces/<str:trace_id>", views.TraceView.as_view()),
    path("api/v1/resolve", views.ResolveView.as_view()),
    path("api/v1/resolve/across", transfer_views.ReadAcrossView.as_view()),
    path("api/v1/resolve/across/requests", transfer_views.AskAcrossView.as_view()),
    path("api/v1/receipts/<uuid:interaction_id>", views.ReceiptView.as_view()),
    path("api/v1/receipts/<uuid:interaction_id>/tlog-proof", views.TlogProofView.as_view()),
    path("api/v1/access/tokens/mine", people.OwnTokensView.as_view()),
    path("api/v1/logs", views.LogsView.as_view()),
    path("api/v1/logs/<int:log_id>/checkpoint", views.CheckpointView.as_view()),
    path("api/v1/logs/<int:log_id>/entries", views.EntriesView.as_view()),
    path("api/v1/logs/<int:log_id>/proof/inclusion", views.InclusionProofView.as_view()),
    path("api/v1/logs/<int:log_id>/proof/consistency", views.ConsistencyProofView.as_view()),
    path("api/v1/access/people", rights.PeopleView.as_view()),
    path("api/v1/access/people/<uuid:person>/roles", rights.PersonRolesView.as_view()),
    path("api/v1/access/roles", rights.RolesView.as_view()),
    path("api/v1/access/roles/<str:own_role>", rights.RoleView.as_view()),
    path("api/v1/access/tokens", rights.TokensView.as_view()),
    path("api/v1/access/tokens/<str:token>/rotate", rights.TokenRotationView.as_view()),
    path("api/v1/access/tokens/<str:token>/revoke", rights.TokenRevocationView.as_view()),
    path("api/v1/access/log", access_views.AccessLogView.as_view()),
    path("api/v1/access/alerts", alert_views.AlertsView.as_view()),
    path("api/v1/access/reports", access_views.ReportsView.as_view()),
    path("api/v1/access/reviews", access_views.ReviewsView.as_view()),
    path("api/v1/access/reviews/<uuid:review_id>", access_views.ReviewView.as_view()),
    path(
        "api/v1/access/reviews/<uuid:review_id>/sign-off",
        access_views.ReviewSignOffView.as_view(),
    ),
    path("api/v1/access/approvals", approval_views.ApprovalsView.as_view()),
    path("api/v1/access/approvals/<uuid:approval_id>", approval_views.ApprovalView.as_view()),
    path(
        "api/v1/access/approvals/<uuid:approval_id>/approve", approval_views.ApproveView.as_view()
    ),
    path("api/v1/access/approvals/<uuid:approval_id>/refuse", approval_views.RefuseView.as_view()),
    path(
        "api/v1/access/approvals/<uuid:approval_id>/withdraw",
        approval_views.WithdrawView.as_view(),
    ),
    path("api/v1/access/grants", grant_views.GrantsView.as_view()),
    path("api/v1/access/grants/<uuid:grant_id>", grant_views.GrantView.as_view()),
    path("api/v1/access/grants/<uuid:grant_id>/revoke", grant_views.RevokeView.as_view()),
    path("api/v1/access/break-glass", break_glass_views.BreakGlassView.as_view()),
    path(
        "api/v1/access/break-glass/<uuid:break_glass_id>/end",
        break_glass_views.EndView.as_view(),
    ),
    path(
        "api/v1/access/break-glass/<uuid:break_glass_id>/reason",
        break_glass_views.ReasonView.as_view(),
    ),
    path(
        "api/v1/access/break-glass/<uuid:break_glass_id>/review",
        break_glass_views.ReviewView.as_view(),
    ),
    path("api/v1/access/transfer-bases", transfer_views.BasesView.as_view()),
    path("api/v1/access/transfer-bases/<uuid:basis_id>/end", transfer_views.EndBasisView.as_view()),
    path("api/v1/evidence/exports", export_views.ExportsView.as_view()),
    path("api/v1/evidence/exports/plan", export_views.ExportPlanView.as_view()),
    path("api/v1/evidence/exports/<uuid:export_id>", export_views.ExportShownView.as_view()),
    path(
        "api/v1/evidence/exports/<uuid:export_id>/cancel", export_views.ExportCancelView.as_view()
    ),
    path("api/v1/evidence/exports/<uuid:export_id>/file", export_views.ExportFileView.as_view()),
    path("api/v1/privacy/requests", privacy_views.RequestsView.as_view()),
    path("api/v1/privacy/requests/import", privacy_import_views.ImportView.as_view()),
    path("api/v1/privacy/requests/<uuid:request_id>", privacy_views.RequestView.as_view()),
    path("api/v1/privacy/requests/<uuid:request_id>/words", privacy_views.WordsView.as_view()),
    path("api/v1/privacy/requests/<uuid:request_id>/clone", privacy_views.CloneView.as_view()),
    path("api/v1/privacy/requests/<uuid:request_id>/extend", privacy_views.ExtendView.as_view()),
    path(
        "api/v1/privacy/requests/<uuid:request_id>/ask-identity",
        privacy_views.step_view(Action.ASK_IDENTITY),
    ),
    path(
        "api/v1/privacy/requests/<uuid:request_id>/verify-identity",
        privacy_views.step_view(Action.VERIFY_IDENTITY),
    ),
    path(
        "api/v1/privacy/requests/<uuid:request_id>/discovery",
        privacy_execution_views.DiscoveryView.as_view(),
    ),
    path(
        "api/v1/privacy/requests/<uuid:request_id>/freeze",
        privacy_execution_views.FreezeView.as_view(),
    ),
    path(
        "api/v1/privacy/requests/<uuid:request_id>/manifest",
        privacy_execution_views.ManifestView.as_view(),
    ),
    path(
        "api/v1/privacy/requests/<uuid:request_id>/certificate",
        privacy_execution_views.CertificateView.as_view(),
    ),
    path(
        "api/v1/privacy/requests/<uuid:request_id>/rescope",
        privacy_views.step_view(Action.RESCOPE),
    ),
    path(
        "api/v1/privacy/requests/<uuid:request_id>/assess",
        privacy_views.step_view(Action.ASSESS),
    ),
    path(
        "api/v1/privacy/requests/<uuid:request_id>/ask-approval",
        privacy_views.step_view(Action.ASK_APPROVAL),
    ),
    path(
        "api/v1/privacy/requests/<uuid:request_id>/withdraw",
        privacy_views.step_view(Action.WITHDRAW),
    ),
    path(
        "api/v1/privacy/requests/<uuid:request_id>/mark-duplicate",
        privacy_views.step_view(Action.MARK_DUPLICATE),
    ),
    path(
        "api/v1/privacy/requests/<uuid:request_id>/close",
        privacy_views.step_view(Action.CLOSE),
    ),
    path(
        "api/v1/privacy/requests/<uuid:request_id>/approve",
        privacy_views.ApproveRequestView.as_view(),
    ),
    path(
        "api/v1/privacy/requests/<uuid:request_id>/refuse",
        privacy_views.RefuseRequestView.as_view(),
    ),
    path(
        "api/v1/privacy/requests/<uuid:request_id>/lift",
        privacy_restriction_views.LiftRestrictionView.as_view(),
    ),
    path(
        "api/v1/privacy/requests/<uuid:request_id>/rule",
        privacy_restriction_views.RuleView.as_view(),
    ),
    path(
        "api/v1/privacy/requests/<uuid:request_id>/packages",
        package_views.PackagesView.as_view(),
    ),
    path(
        "api/v1/privacy/requests/<uuid:request_id>/packages/link",
        package_views.PackageLinkView.as_view(),
    ),
    path("api/v1/privacy/packages/fetch", package_views.PackageFetchView.as_view()),
    path("api/v1/privacy/holds", hold_views.HoldsView.as_view()),
    path("api/v1/privacy/holds/<uuid:hold_id>", hold_views.HoldView.as_view()),
    path("api/v1/privacy/holds/<uuid:hold_id>/reason", hold_views.HoldReasonView.as_view()),
    path("api/v1/privacy/holds/<uuid:hold_id>/release", hold_views.ReleaseHoldView.as_view()),
    path("api/v1/privacy/cases/records", hold_views.PutToCaseView.as_view()),
    path("tlog/<uuid:log>/checkpoint", tlog.checkpoint),
    path("tlog/<uuid:log>/tile/entries/<path:bundle>", tlog.entries),
    path("tlog/<uuid:log>/tile/<path:tile>", tlog.tile),
    path("api/schema/", views.SchemaView.as_view(), name="schema"),
    path("scim/v2/ServiceProviderConfig", scim.ServiceProviderConfigView.as_view()),
    path("scim/v2/ResourceTypes", scim.DescriptionsView.as_view(model=ResourceType)),
    path("scim/v2/ResourceTypes/<str:name>", scim.DescriptionView.as_view(model=ResourceType)),
    path("scim/v2/Schemas", scim.DescriptionsView.as_view(model=Schema)),
    path("scim/v2/Schemas/<str:name>", scim.DescriptionView.as_view(model=Schema)),
    path("scim/v2/Users", scim.UsersView.as_view()),
    path("scim/v2/Users/<str:scim_id>", scim.UserView.as_view()),
    path("scim/v2/Groups", scim.GroupsView.as_view()),
    path("scim/v2/Groups/<str:scim_id>", scim.GroupView.as_view()),
    path("scim/v2/.search", scim.SearchView.as_view()),
    path("scim/v2/<path:rest>", scim.NothingView.as_view()),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("metrics", health.metrics),
]
