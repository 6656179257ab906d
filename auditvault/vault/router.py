"""Which database a model lives in.

The control plane is `default`. Tables of a region live in `region_<name>`, its keys in `keys_<name>`. There is no
default region: a query that names none raises, so that no code reads from a region by accident.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import Model

from auditvault.core.errors import AuditvaultError


class RegionNotNamedError(AuditvaultError):
    """A query on a region's table did not say which region."""

    code = "region_not_named"


class RegionRouter:
    """Keeps control, region and keyring tables apart, for queries and for migrations."""

    region_apps: ClassVar[frozenset[str]] = frozenset(
        {
            "ledger",
            "ledger_admin",
            "vault",
            "vault_erasures",
            "traces",
            "access_events",
            "access_approvals",
            "access_alerts",
            "access_windows",
            "access_grants",
            "access_break_glass",
            "access_transfers",
            "access_usage",
            "ingest_policies",
            "evidence_anchors",
            "evidence_copies",
            "evidence_exports",
            "evidence_pruning",
            "evidence_reviews",
            "privacy_erasing",
            "privacy_holds",
            "privacy_packages",
            "privacy_requests",
            "privacy_retention",
        }
    )
    keyring_apps: ClassVar[frozenset[str]] = frozenset({"keyring", "keyring_holds"})

    def db_for_read(self, model: type[Model], **hints: Any) -> str | None:
        """The instance's own database, `default` for the control plane, or RegionNotNamedError."""
        if model._meta.app_label not in self.region_apps | self.keyring_apps:  # noqa: SLF001
            return "default"
        instance = hints.get("instance")
        if instance is not None and instance._state.db:  # noqa: SLF001
            return str(instance._state.db)  # noqa: SLF001
        raise RegionNotNamedError(f"Say which region: use `.using(...)` for {model.__name__}.")

    db_for_write = db_for_read

    def allow_relation(self, left: Model, right: Model, **_hints: Any) -> bool:
        """No relation crosses a database."""
        return left._state.db == right._state.db  # noqa: SLF001

    def allow_migrate(self, db: str, app_label: str, **_hints: Any) -> bool:
        """Each app's tables in the one kind of database they belong to."""
        if app_label in self.region_apps:
            return db.startswith("region_")
        if app_label in self.keyring_apps:
            return db.startswith("keys_") and not db.startswith("keys_retention_")
        return db == "default"
