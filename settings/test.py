"""Settings of the test run: the same parts as in `dev`, with a cheap password hasher."""

from __future__ import annotations

from settings.base import *

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
WHITENOISE_USE_FINDERS = True
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = True
