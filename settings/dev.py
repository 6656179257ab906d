"""Settings of `make up`: one machine, loopback, plain HTTP."""

from __future__ import annotations

from settings.base import *

WHITENOISE_USE_FINDERS = True
SESSION_COOKIE_SECURE = False
CSRF_COOKIE_SECURE = False
DEMONSTRATION = True
# A passkey on this machine, under http://localhost.
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = True
# `auditvault demo` leaves second factors in a file, for people to try. Nowhere else.
DEMO_SECOND_FACTORS = True
