"""Settings of `make up`: one machine, loopback, plain HTTP."""

from __future__ import annotations

from settings.base import *

WHITENOISE_USE_FINDERS = True
SESSION_COOKIE_SECURE = False
CSRF_COOKIE_SECURE = False
DEMONSTRATION = True
