"""Settings of a production site: TLS in front, manifest static files, secure cookies."""

from __future__ import annotations

from django.core.exceptions import ImproperlyConfigured

from settings import environment as env
from settings.base import *

if not env.names("AUDITVAULT_ALLOWED_HOSTS"):
    raise ImproperlyConfigured(
        "AUDITVAULT_ALLOWED_HOSTS must name the hosts this site answers for."
    )
# A root key in a file lies beside the data it protects. A process without a provider opens nothing and may start.
for _region, _provider in KEY_PROVIDERS.items():
    if _provider.startswith("file:"):
        raise ImproperlyConfigured(
            f"Production keeps no root keys in files: set AUDITVAULT_KEY_PROVIDER_{_region.upper()} to a key"
            " service or a token (docs/howto/choose-a-key-provider.md)."
        )

SECURE_SSL_REDIRECT = True
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = 365 * 24 * 3600
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
# A browser takes these from this host alone, over TLS, for the whole site (RFC 6265bis §4.1.3.2).
SESSION_COOKIE_NAME = "__Host-session"
CSRF_COOKIE_NAME = "__Host-csrf"
STORAGES["staticfiles"] = {
    "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage",
}
