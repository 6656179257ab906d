"""Paths of signing in and of a person's account.

They have no namespace: django-allauth finds its pages by these names.
"""

from __future__ import annotations

from django.urls import path

from auditvault.console import sessions
from auditvault.console.account import entry, factors, password, providers

urlpatterns = [
    path("sign-in", sessions.SignInView.as_view(), name="account_login"),
    path("sign-in/refused", sessions.refused, name="sign_in_refused"),
    path("sign-in/second-factor", factors.SecondFactorView.as_view(), name="mfa_authenticate"),
    path("sign-in/passkey", factors.PasskeySignInView.as_view(), name="mfa_login_webauthn"),
    path("sign-in/again", factors.PasswordAgainView.as_view(), name="account_reauthenticate"),
    path("sign-in/again/code", factors.CodeAgainView.as_view(), name="mfa_reauthenticate"),
    path(
        "sign-in/again/passkey",
        factors.PasskeyAgainView.as_view(),
        name="mfa_reauthenticate_webauthn",
    ),
    path("sign-in/with/<slug:provider_id>", providers.begin, name="openid_connect_login"),
    path("sign-in/with/<slug:provider_id>/done", providers.done, name="openid_connect_callback"),
    path("sign-in/cancelled", sessions.refused, name="socialaccount_login_cancelled"),
    path("reset", entry.ResetView.as_view(), name="account_reset_password"),
    path("invitation", entry.EntryView.as_view(), name="entry"),
    path("invitation/<str:token>", entry.EntryView.as_view(), name="entry_link"),
    path("account", factors.AccountView.as_view(), name="mfa_index"),
    path("account/connections", factors.to_account, name="socialaccount_connections"),
    path("account/password", password.PasswordView.as_view(), name="account_change_password"),
    path("account/app/add", factors.AddAppView.as_view(), name="mfa_activate_totp"),
    path("account/app/remove", factors.RemoveAppView.as_view(), name="mfa_deactivate_totp"),
    path(
        "account/recovery-codes",
        factors.RecoveryCodesView.as_view(),
        name="mfa_view_recovery_codes",
    ),
    path(
        "account/recovery-codes/new",
        factors.NewRecoveryCodesView.as_view(),
        name="mfa_generate_recovery_codes",
    ),
    path("account/passkeys", factors.to_account, name="mfa_list_webauthn"),
    path("account/passkeys/add", factors.AddPasskeyView.as_view(), name="mfa_add_webauthn"),
    path(
        "account/passkeys/<int:pk>/remove",
        factors.RemovePasskeyView.as_view(),
        name="mfa_remove_webauthn",
    ),
]
