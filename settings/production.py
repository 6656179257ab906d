"""Settings of a production site: TLS in front, manifest static files, secure cookies."""

from __future__ import annotations

from django.core.exceptions import ImproperlyConfigured

from settings import environment as env
from settings.base import *

if not env.names("AUDITVAULT_ALLOWED_HOSTS"):
    raise ImproperlyConfigured(
        "AUDITVAULT_ALLOWED_HOSTS must name the hosts this site answers for."
    )
if not env.flag("AUDITVAULT_ALLOW_FILE_KEYS", default=False):
    # The file provider keeps the root key beside the data it protects: fit for evaluation only.
    raise ImproperlyConfigured(
        "Production needs a key provider outside this machine. Only the file provider exists in this "
        "version; set AUDITVAULT_ALLOW_FILE_KEYS=true to accept its risk knowingly."
    )

SECURE_SSL_REDIRECT = True
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = 365 * 24 * 3600
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
STORAGES["staticfiles"] = {
    "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage",
}
