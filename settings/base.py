"""Settings that hold everywhere. Each variable is described in docs/reference/settings.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from csp.constants import NONE, SELF

from auditvault.core.policy.alerts import AlertKind
from auditvault.core.policy.approvals import State as ApprovalState
from auditvault.core.policy.erasure import Kind as RequestKind
from auditvault.core.policy.erasure import State as RequestState
from auditvault.core.policy.transfers import BasisKind
from settings import environment as env
from settings.mail import mail_server

BASE_DIR = Path(__file__).resolve().parent.parent
HOME = Path(env.text("AUDITVAULT_HOME", "var")).resolve()
env.load_running_instance(HOME)

SECRET_KEY = env.secret_file("AUDITVAULT_SECRET_KEY_FILE")
DEBUG = False
ALLOWED_HOSTS = env.names("AUDITVAULT_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
INTERNAL_IPS: list[str] = []

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "guardian",
    "rest_framework",
    "drf_spectacular",
    "django_htmx",
    "csp",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "auditvault.ledger",
    "auditvault.ledger.admin",
    "auditvault.vault",
    "auditvault.vault.keyring",
    "auditvault.vault.keyring.holds",
    "auditvault.vault.erasures",
    "auditvault.traces",
    "auditvault.access",
    "auditvault.access.custom_roles",
    "auditvault.access.rights",
    "auditvault.access.scim",
    "auditvault.access.events",
    "auditvault.access.approvals",
    "auditvault.access.alerts",
    "auditvault.access.receivers",
    "auditvault.access.windows",
    "auditvault.access.grants",
    "auditvault.access.break_glass",
    "auditvault.access.transfers",
    "auditvault.access.usage",
    "auditvault.access.identity",
    "auditvault.ingest",
    "auditvault.ingest.policies",
    "auditvault.evidence",
    "auditvault.evidence.anchors",
    "auditvault.evidence.copies",
    "auditvault.evidence.exports",
    "auditvault.evidence.pruning",
    "auditvault.evidence.reviews",
    "auditvault.privacy.erasing",
    "auditvault.privacy.holds",
    "auditvault.privacy.packages",
    "auditvault.privacy.requests",
    "auditvault.privacy.retention",
    "auditvault.api",
    "auditvault.console",
    "auditvault.cli",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "auditvault.console.session_limits.SessionLimitsMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]

ROOT_URLCONF = "settings.urls"
WSGI_APPLICATION = "settings.wsgi.application"
APPEND_SLASH = False
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# --- Databases: one for the control plane, two for each region this process serves -----------------------
REGIONS = env.names("AUDITVAULT_REGIONS")


def _database(variable: str) -> dict[str, Any]:
    return env.database(env.text(variable), variable)


DATABASES: dict[str, dict[str, Any]] = {"default": _database("AUDITVAULT_CONTROL_URL")}
# Where each region's root keys live; empty in a process that opens no content.
KEY_PROVIDERS: dict[str, str] = {}
# Outside every database's backups: what was erased, and must stay so after a restore.
ERASURE_LEDGER_DIRS: dict[str, str] = {}
for _region in REGIONS:
    _upper = _region.upper()
    DATABASES[f"region_{_region}"] = _database(f"AUDITVAULT_REGION_{_upper}_URL")
    DATABASES[f"keys_{_region}"] = _database(f"AUDITVAULT_KEYS_{_upper}_URL")
    KEY_PROVIDERS[_region] = env.key_provider(
        f"AUDITVAULT_KEY_PROVIDER_{_upper}", f"AUDITVAULT_ROOT_KEY_{_upper}_FILE"
    )
    ERASURE_LEDGER_DIRS[_region] = env.text(f"AUDITVAULT_ERASURE_LEDGER_{_upper}_DIR", "")
    # Only the processes that sweep and sign are given these.
    for _alias, _name in {
        f"retention_{_region}": f"AUDITVAULT_RETENTION_{_upper}_URL",
        f"keys_retention_{_region}": f"AUDITVAULT_KEYS_RETENTION_{_upper}_URL",
        f"signer_{_region}": f"AUDITVAULT_SIGNER_{_upper}_URL",
    }.items():
        if _url := env.text(_name, ""):
            DATABASES[_alias] = env.database(_url, _name)

DATABASE_ROUTERS = ["auditvault.vault.router.RegionRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
MIGRATION_MODULES: dict[str, str] = {}

# --- Log and signer --------------------------------------------------------------------------------------
LOG_HOST = env.text("AUDITVAULT_LOG_HOST", "localhost")
# Origins of the logs that anybody may read under /tlog/, for witnesses and monitors. None but those named here.
PUBLIC_LOGS = env.origins("AUDITVAULT_PUBLIC_LOGS")
LOG_VKEYS_FILE = env.text("AUDITVAULT_LOG_VKEYS_FILE", "")
SIGNER_KEY_FILE = env.text("AUDITVAULT_SIGNER_KEY_FILE", "")
# Further keys, of either algorithm: each signs once it is announced (docs/howto/rotate-the-signing-key.md).
SIGNER_MORE_KEY_FILES = env.names("AUDITVAULT_SIGNER_MORE_KEY_FILES")
SIGNER_STATE_FILE = env.text("AUDITVAULT_SIGNER_STATE_FILE", "")

# --- Erasure ledger --------------------------------------------------------------------------------------
# The private key is for processes that erase; the public ones, of which one must have signed, for all.
ERASURE_KEY_FILE = env.text("AUDITVAULT_ERASURE_KEY_FILE", "")
ERASURE_VKEYS_FILE = env.text("AUDITVAULT_ERASURE_VKEYS_FILE", "")

# --- Witnesses -------------------------------------------------------------------------------------------
# A C2SP tlog-policy file: whom to ask, and how many of whom are needed. Nobody is asked where none is named.
WITNESS_POLICY_FILE = env.text("AUDITVAULT_WITNESS_POLICY_FILE", "")
WITNESS_MAX_AGE_SECONDS = env.number("AUDITVAULT_WITNESS_MAX_AGE_SECONDS", 3600, least=1)
WITNESS_EVERY_SECONDS = env.number("AUDITVAULT_WITNESS_EVERY_SECONDS", 10, least=1)

# --- Time ------------------------------------------------------------------------------------------------
# A time-stamping authority (RFC 3161). None is asked where no URL is set; whom to trust is never the answer's to say.
TSA_URL = env.http_url("AUDITVAULT_TSA_URL")
TSA_CA_FILE = env.text("AUDITVAULT_TSA_CA_FILE") if TSA_URL else ""
TSA_POLICY = env.dotted_oid("AUDITVAULT_TSA_POLICY")
TSA_EVERY_SECONDS = env.number("AUDITVAULT_TSA_EVERY_SECONDS", 3600, least=1)
# How far this host's clock may be from the database's before it is recorded.
CLOCK_SKEW_SECONDS = env.number("AUDITVAULT_CLOCK_SKEW_SECONDS", 2, least=1)

# --- Write-once copies -----------------------------------------------------------------------------------
# Where each region's logs are copied: none where no URL is set. Credentials are the store's library's to find.
COPIES_URLS = {
    _region: env.store_url(f"AUDITVAULT_COPIES_{_region.upper()}_URL") for _region in REGIONS
}
COPIES_EVERY_SECONDS = env.number("AUDITVAULT_COPIES_EVERY_SECONDS", 300, least=1)
# S3 only: how long, and how, each object is locked. 0 leaves it to the bucket.
COPIES_LOCK_DAYS = env.number("AUDITVAULT_COPIES_LOCK_DAYS", 0, least=0)
COPIES_LOCK_MODE = env.one_of(
    "AUDITVAULT_COPIES_LOCK_MODE", "COMPLIANCE", ("COMPLIANCE", "GOVERNANCE")
)

# --- Pruning ---------------------------------------------------------------------------------------------
# The written policy under which `auditvault prune` works. Nothing is pruned without one.
PRUNE_POLICY_FILE = env.text("AUDITVAULT_PRUNE_POLICY_FILE", "")

# --- Keys ------------------------------------------------------------------------------------------------
# How old an epoch of keys becomes before the scheduled job turns it; 0: it is turned by hand only.
KEY_EPOCH_DAYS = env.number("AUDITVAULT_KEY_EPOCH_DAYS", 7, least=0)

# --- Backups ---------------------------------------------------------------------------------------------
# Only what backs up, restores or drills is given these: a role that sees every row, and the keys of backups.
BACKUP_REGION_URLS = {
    _region: env.text(f"AUDITVAULT_BACKUP_REGION_{_region.upper()}_URL", "") for _region in REGIONS
}
BACKUP_KEYS_URLS = {
    _region: env.text(f"AUDITVAULT_BACKUP_KEYS_{_region.upper()}_URL", "") for _region in REGIONS
}
BACKUP_KEY_FILE = env.text("AUDITVAULT_BACKUP_KEY_FILE", "")
BACKUP_SIGNING_KEY_FILE = env.text("AUDITVAULT_BACKUP_SIGNING_KEY_FILE", "")
BACKUP_PUBLIC_KEYS_FILE = env.text("AUDITVAULT_BACKUP_PUBLIC_KEYS_FILE", "")

# --- Ingest ----------------------------------------------------------------------------------------------
DATA_UPLOAD_MAX_MEMORY_SIZE = 20 * 1024 * 1024
OTLP_MAX_BODY_BYTES = 20 * 1024 * 1024

# --- Lookups ---------------------------------------------------------------------------------------------
# How many contents may be looked up by hash: by one token or person, and by all of a tenant, in each window and region.
LOOKUPS_PER_CALLER = env.number("AUDITVAULT_LOOKUPS_PER_CALLER", 60, least=1)
LOOKUPS_PER_TENANT = env.number("AUDITVAULT_LOOKUPS_PER_TENANT", 600, least=1)
LOOKUP_WINDOW_SECONDS = env.number("AUDITVAULT_LOOKUP_WINDOW_SECONDS", 60, least=1)

# Short name of the tenant whose roles count where a plan is about a region as a whole; empty: the only tenant's.
OPERATOR_TENANT = env.text("AUDITVAULT_OPERATOR_TENANT", "")
# Whether commands that take two people are done for one; the entry of each says that nobody approved it.
COMMANDS_WITHOUT_APPROVAL = env.flag("AUDITVAULT_COMMANDS_WITHOUT_APPROVAL", default=False)

# --- How much one person looks at -------------------------------------------------------------------------
# Subjects that one person may look at in a day (UTC) and region; a tenant's own number takes its place.
SUBJECTS_PER_DAY = env.number("AUDITVAULT_SUBJECTS_PER_DAY", 50, least=1)
# So many lookups in a window that find nothing are an attempt to find out what is there.
ENUMERATION_MISSES = env.number("AUDITVAULT_ENUMERATION_MISSES", 20, least=1)
ENUMERATION_WINDOW_SECONDS = env.number("AUDITVAULT_ENUMERATION_WINDOW_SECONDS", 600, least=1)

# --- Exports ---------------------------------------------------------------------------------------------
# Rows of an export that one person may make alone; more take an approval, and there is an end.
EXPORT_ROWS_ALONE = env.number("AUDITVAULT_EXPORT_ROWS_ALONE", 1000, least=0)
EXPORT_MOST_ROWS = env.number("AUDITVAULT_EXPORT_MOST_ROWS", 50_000, least=1)
# Exports that may wait to be made or fetched: each is work for a worker, and rows until it is fetched or a day old.
EXPORTS_WAITING_PER_PERSON = env.number("AUDITVAULT_EXPORTS_WAITING_PER_PERSON", 10, least=1)
EXPORTS_WAITING_PER_TENANT = env.number("AUDITVAULT_EXPORTS_WAITING_PER_TENANT", 100, least=1)

# --- Alerts ----------------------------------------------------------------------------------------------
# Networks besides the public ones to which a URL of somebody else's may lead (core.policy.addresses).
OUTBOUND_ALLOWED_NETWORKS = env.networks("AUDITVAULT_OUTBOUND_ALLOWED_NETWORKS")
# Who hears by e-mail of a tenant's alerts where the tenant named no receiver of its own.
ALERT_ROLES = env.roles("AUDITVAULT_ALERT_ROLES", "privacy_officer,security_admin")

# --- Mail ------------------------------------------------------------------------------------------------
_mail = mail_server("AUDITVAULT_SMTP_URL", "AUDITVAULT_SMTP_PASSWORD_FILE")
EMAIL_HOST = _mail.host
EMAIL_PORT = _mail.port
EMAIL_HOST_USER = _mail.user
EMAIL_HOST_PASSWORD = _mail.password
EMAIL_USE_SSL = _mail.tls == "from_the_start"
EMAIL_USE_TLS = _mail.tls == "starttls"
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.text("AUDITVAULT_MAIL_FROM", "auditvault@localhost")

SCAN_CONTENTS = env.flag("AUDITVAULT_SCAN_CONTENTS", default=True)

# What is read too often for a record of each, and refusals: the first of each window is recorded.
READ_WINDOW_SECONDS = env.number("AUDITVAULT_READ_WINDOW_SECONDS", 3600, least=1)

# Whether `auditvault demo` may make tokens that count as made with a second factor. For development alone.
DEMONSTRATION = False

# --- People ----------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "access.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "guardian.backends.ObjectPermissionBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
ANONYMOUS_USER_NAME = None
GUARDIAN_MONKEY_PATCH_USER = False
LOGIN_URL = "console:sign-in"
LOGIN_REDIRECT_URL = "console:interactions"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
# Both limits are kept by the server, whatever the cookie says.
SESSION_IDLE_MINUTES = env.number("AUDITVAULT_SESSION_IDLE_MINUTES", 30, least=1)
SESSION_HOURS = env.number("AUDITVAULT_SESSION_HOURS", 8, least=1)
SESSION_COOKIE_AGE = SESSION_HOURS * 3600
# Roles that nobody uses at all without a second factor, besides the acts that always take one.
SECOND_FACTOR_ROLES = env.roles("AUDITVAULT_SECOND_FACTOR_ROLES")
INVITATION_HOURS = env.number("AUDITVAULT_INVITATION_HOURS", 72, least=1)
# Counters of failed attempts, for all processes (docs/adr/0022-signing-in.md).
CACHES = {"default": {"BACKEND": "auditvault.access.identity.counters.ControlDatabaseCache"}}
# How many proxies in front add to X-Forwarded-For. 0: the address is the connection's.
ALLAUTH_TRUSTED_PROXY_COUNT = env.number("AUDITVAULT_TRUSTED_PROXIES", 0, least=0)
ACCOUNT_ADAPTER = "auditvault.access.identity.adapters.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_EMAIL_NOTIFICATIONS = False
ACCOUNT_SESSION_REMEMBER = False
ACCOUNT_LOGOUT_REDIRECT_URL = "/sign-in"
ACCOUNT_REAUTHENTICATION_TIMEOUT = 300
ACCOUNT_RATE_LIMITS = {
    "login": None,
    "login_failed": "60/m/ip,5/5m/key",
    "reauthenticate": "10/m/user",
    "change_password": "5/m/user",
    "reset_password": "20/m/ip,3/h/key",
}
MFA_ADAPTER = "auditvault.access.identity.adapters.SecondFactorAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_FORMS = {
    "authenticate": "auditvault.access.identity.forms.CodeForm",
    "reauthenticate": "auditvault.access.identity.forms.CodeAgainForm",
    "activate_totp": "auditvault.access.identity.forms.AddAppForm",
}
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_WEBAUTHN_USER_VERIFICATION = "preferred"
MFA_TOTP_ISSUER = "auditvault"
MFA_TOTP_TOLERANCE = 1
MFA_RECOVERY_CODE_DIGITS = 12
MFA_RECOVERY_CODES_SHOW_ONCE = True

# --- Identity providers (OpenID Connect) -------------------------------------------------------------------
IDENTITY_PROVIDERS = env.identity_providers("AUDITVAULT_OIDC_FILE")
SOCIALACCOUNT_ADAPTER = "auditvault.access.identity.adapters.ProviderAdapter"
SOCIALACCOUNT_EMAIL_AUTHENTICATION = False
SOCIALACCOUNT_EMAIL_AUTHENTICATION_AUTO_CONNECT = False
SOCIALACCOUNT_LOGIN_ON_GET = False
SOCIALACCOUNT_REAUTHENTICATION_REQUIRED = True
SOCIALACCOUNT_QUERY_EMAIL = False
SOCIALACCOUNT_STORE_TOKENS = False
SOCIALACCOUNT_REQUESTS_TIMEOUT = 10
SOCIALACCOUNT_PROVIDERS = {
    "openid_connect": {
        "provider_class": "auditvault.access.identity.oidc.StrictProvider",
        "OAUTH_PKCE_ENABLED": True,
        "APPS": [provider["app"] for provider in IDENTITY_PROVIDERS.values()],
    }
}
CSRF_COOKIE_HTTPONLY = True
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "no-referrer"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    },
}

# --- API -------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "auditvault.api.authentication.PersonSessionAuthentication",
        "auditvault.api.authentication.BearerTokenAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["auditvault.api.parsers.BoundedJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "auditvault.api.problems.problem_response",
    "UNAUTHENTICATED_USER": None,
    # OPTIONS is no method of anything here.
    "DEFAULT_METADATA_CLASS": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "auditvault",
    "DESCRIPTION": "Audit log and privacy vault for AI systems.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": [],
    "ENUM_NAME_OVERRIDES": {
        "PurposeCode": "auditvault.core.policy.access.PurposeCode",
        "BasisKind": [kind.value for kind in BasisKind],
        "AlertKind": [kind.value for kind in AlertKind],
        "RequestKind": [kind.value for kind in RequestKind],
        "RequestState": [state.value for state in RequestState],
        "ApprovalState": [state.value for state in ApprovalState],
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "auditvault.api.schema.complete",
    ],
}

# --- Celery: JSON only, late acknowledgement, nothing personal in arguments --------------------------------
BROKER_URL = env.text("AUDITVAULT_BROKER_URL", "")

# --- Text and time ---------------------------------------------------------------------------------------
LANGUAGE_CODE = "en-gb"
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "/static/"
STATIC_ROOT = HOME / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
# Nothing is uploaded to disk: a temporary file would be personal data outside the vault (design rule 3).
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]

# --- Logs: one JSON line an event, never a request body, never an exception's local values -----------------
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "auditvault.cli.logs.JsonLineFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": env.text("AUDITVAULT_LOG_LEVEL", "INFO")},
    "loggers": {
        # Client errors are answers, not events; Django would log the URL of each.
        "django.request": {"level": "ERROR"},
        "django.server": {"level": "ERROR"},
    },
}
DEFAULT_EXCEPTION_REPORTER_FILTER = "auditvault.cli.logs.NothingInReports"
