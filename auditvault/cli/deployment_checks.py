"""System checks of a production site: `manage.py check --deploy` (docs/reference/system-checks.md).

Errors are what breaks a rule of the design; warnings are what a site can do without and should know about. A process is
given only the credentials that it needs, so run the checks with what the whole site has: the operator's environment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error

_YEAR_SECONDS = 365 * 24 * 3600
_INLINE = {"'unsafe-inline'", "'unsafe-eval'", "*"}
_LOOPBACK = {"", "localhost", "127.0.0.1", "::1"}
_SAFE_SSL = {"verify-ca", "verify-full"}

_Check = Callable[[], Iterator[CheckMessage]]
_ALL: list[_Check] = []


def _check(function: _Check) -> _Check:
    _ALL.append(function)
    return function


def deployment(
    app_configs: Sequence[AppConfig] | None,  # noqa: ARG001  # what a check is called with
    **_kwargs: Any,
) -> list[CheckMessage]:
    """Every finding about how this site is set up."""
    return [message for check in _ALL for message in check()]


def register_checks() -> None:
    """For `--deploy` alone: nothing here is asked of a machine where somebody tries the program."""
    checks.register(deployment, deploy=True)


@_check
def _debugging() -> Iterator[CheckMessage]:
    if settings.DEBUG:
        yield Error(
            "DEBUG is on: error pages would show what a request held.",
            hint="Use settings.production.",
            id="auditvault.E010",
        )


@_check
def _root_keys_in_files() -> Iterator[CheckMessage]:
    for region, provider in settings.KEY_PROVIDERS.items():
        if provider.startswith("file:"):
            yield Error(
                f"The root key of region {region} is in a file, beside what it protects.",
                hint=f"Set AUDITVAULT_KEY_PROVIDER_{region.upper()} (docs/howto/choose-a-key-provider.md).",
                id="auditvault.E011",
            )


@_check
def _regions_without_keyring() -> Iterator[CheckMessage]:
    for region in settings.REGIONS:
        if f"keys_{region}" not in settings.DATABASES:
            yield Error(
                f"Region {region} has no keyring database.",
                hint=f"Set AUDITVAULT_KEYS_{region.upper()}_URL.",
                id="auditvault.E012",
            )
        elif _place(f"keys_{region}") == _place(f"region_{region}"):
            yield Error(
                f"The keyring of region {region} is in the region's own database: a backup of one is one of both.",
                hint="Give the keyring a database, and a backup, of its own.",
                id="auditvault.E013",
            )


def _place(alias: str) -> tuple[str, ...]:
    database = settings.DATABASES[alias]
    return tuple(str(database.get(name, "")) for name in ("HOST", "PORT", "NAME"))


@_check
def _values_in_statements() -> Iterator[CheckMessage]:
    for alias, database in settings.DATABASES.items():
        if not database.get("OPTIONS", {}).get("server_side_binding"):
            yield Error(
                f"Database {alias} binds values on the client: they would stand in clear in statement logs.",
                hint="Set server_side_binding (settings/environment.py).",
                id="auditvault.E014",
            )


@_check
def _what_is_kept_of_requests() -> Iterator[CheckMessage]:
    wanted = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]
    if list(settings.FILE_UPLOAD_HANDLERS) != wanted:
        yield Error(
            "Uploads may be written to disk, as personal data outside the vault.",
            hint=f"FILE_UPLOAD_HANDLERS = {wanted}",
            id="auditvault.E015",
        )
    if settings.DEFAULT_EXCEPTION_REPORTER_FILTER != "auditvault.cli.logs.NothingInReports":
        yield Error(
            "Error reports may hold what a request held.",
            hint="DEFAULT_EXCEPTION_REPORTER_FILTER = 'auditvault.cli.logs.NothingInReports'",
            id="auditvault.E016",
        )


@_check
def _cookies() -> Iterator[CheckMessage]:
    for name in ("SESSION_COOKIE", "CSRF_COOKIE"):
        flags = [getattr(settings, f"{name}_{flag}") for flag in ("SECURE", "HTTPONLY", "SAMESITE")]
        if not flags[0] or not flags[1] or flags[2] not in {"Lax", "Strict"}:
            yield Error(
                f"The cookie of {name} is not for HTTPS alone, or open to scripts or to other sites.",
                hint=f"{name}_SECURE and {name}_HTTPONLY = True, {name}_SAMESITE = 'Lax'.",
                id="auditvault.E017",
            )


@_check
def _transport() -> Iterator[CheckMessage]:
    if not settings.SECURE_SSL_REDIRECT or settings.SECURE_HSTS_SECONDS < _YEAR_SECONDS:
        yield Error(
            "Browsers may be led to speak to this site without TLS.",
            hint="SECURE_SSL_REDIRECT = True, SECURE_HSTS_SECONDS of a year or more.",
            id="auditvault.E018",
        )
    if settings.SECURE_REFERRER_POLICY not in {"no-referrer", "same-origin"}:
        yield Error(
            "Other sites would learn the addresses of pages.",
            hint="SECURE_REFERRER_POLICY = 'no-referrer'",
            id="auditvault.E019",
        )


@_check
def _content_security_policy() -> Iterator[CheckMessage]:
    directives = getattr(settings, "CONTENT_SECURITY_POLICY", {}).get("DIRECTIVES", {})
    allowed = {str(value) for values in directives.values() for value in values}
    if "default-src" not in directives or allowed & _INLINE:
        yield Error(
            "The content security policy is missing, or lets scripts run that are no file of this site's.",
            hint="See CONTENT_SECURITY_POLICY in settings/base.py.",
            id="auditvault.E020",
        )
    if "csp.middleware.CSPMiddleware" not in settings.MIDDLEWARE:
        yield Error(
            "The content security policy is not sent.",
            hint="Put csp.middleware.CSPMiddleware into MIDDLEWARE.",
            id="auditvault.E021",
        )


@_check
def _two_people() -> Iterator[CheckMessage]:
    if settings.COMMANDS_WITHOUT_APPROVAL:
        yield checks.Warning(
            "One person alone can destroy keys, change who signs a log and prune it, by commands on this machine.",
            hint="Unset AUDITVAULT_COMMANDS_WITHOUT_APPROVAL (docs/adr/0032-operator-approvals.md).",
            id="auditvault.W017",
        )


@_check
def _what_the_site_has_not() -> Iterator[CheckMessage]:
    for region in settings.REGIONS:
        upper = region.upper()
        yield from _lacking(
            region,
            {
                "auditvault.W010": (
                    settings.KEY_PROVIDERS.get(region),
                    "no key provider: this process opens and seals nothing there",
                    f"AUDITVAULT_KEY_PROVIDER_{upper}",
                ),
                "auditvault.W011": (
                    f"retention_{region}" in settings.DATABASES,
                    "no retention role: nothing is swept or pruned there",
                    f"AUDITVAULT_RETENTION_{upper}_URL",
                ),
                "auditvault.W012": (
                    settings.ERASURE_LEDGER_DIRS.get(region),
                    "no erasure ledger: nothing can be erased, and a restored copy not be told from the newest",
                    f"AUDITVAULT_ERASURE_LEDGER_{upper}_DIR",
                ),
                "auditvault.W013": (
                    settings.COPIES_URLS.get(region),
                    "no write-once copies: a database's owner could change what nobody else has seen",
                    f"AUDITVAULT_COPIES_{upper}_URL",
                ),
            },
        )


def _lacking(region: str, wanted: dict[str, tuple[Any, str, str]]) -> Iterator[CheckMessage]:
    for found_id, (has, what, variable) in wanted.items():
        if not has:
            yield checks.Warning(
                f"Region {region} has {what}.", hint=f"Set {variable}.", id=found_id
            )


@_check
def _what_nobody_outside_sees() -> Iterator[CheckMessage]:
    if not settings.WITNESS_POLICY_FILE:
        yield checks.Warning(
            "No witness is configured: nobody outside cosigns checkpoints.",
            hint="Set AUDITVAULT_WITNESS_POLICY_FILE (docs/howto/run-a-witness.md).",
            id="auditvault.W014",
        )
    if not settings.TSA_URL:
        yield checks.Warning(
            "No time-stamping authority is configured: only this site says when something was recorded.",
            hint="Set AUDITVAULT_TSA_URL.",
            id="auditvault.W015",
        )


@_check
def _connections() -> Iterator[CheckMessage]:
    for alias, database in settings.DATABASES.items():
        host = str(database.get("HOST", ""))
        mode = database.get("OPTIONS", {}).get("sslmode")
        if host not in _LOOPBACK and not host.startswith("/") and mode not in _SAFE_SSL:
            yield checks.Warning(
                f"The connection to database {alias} on another machine does not check whom it speaks to.",
                hint="Add ?sslmode=verify-full to its URL.",
                id="auditvault.W016",
            )
