"""A region whose epochs a test may turn: a copy of `us` with an empty keyring and a root key of its own."""

from __future__ import annotations

import hashlib
import secrets
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.integration.ingest.sending import chat, post, protobuf_of, send
from tests.integration.ledger.outage import cut_all, drop_connections
from tests.integration.ledger.superuser import superuser
from tests.integration.vault.looking import PURPOSE, forget_keys, revealed

REGION, KEYS = "turning_region", "turning_keys"
_COPIES = {REGION: "region_us", KEYS: "keys_us"}
_ALIASES = {
    "region_us": REGION,
    "retention_us": REGION,
    "signer_us": REGION,
    "keys_us": KEYS,
    "keys_retention_us": KEYS,
}
_KEY_TABLES = (
    "keyring_region_key, keyring_tenant_key, keyring_tag_secret, keyring_subject_key, keyring_turn,"
    " keyring_rotation"
)


@pytest.fixture(scope="module")
def _copies(cluster):
    from django.db import connections

    from auditvault.ledger.logs import log_ref

    names = {alias: connections[alias].settings_dict["NAME"] for alias in _ALIASES}
    with superuser(cluster, "postgres") as owner:
        drop_connections()
        for copy, original in _COPIES.items():
            # Whoever listens to the keyring would be back at once.
            owner.execute(f"ALTER DATABASE {original} ALLOW_CONNECTIONS false")
            cut_all(owner, original)
            try:
                owner.execute(f"CREATE DATABASE {copy} TEMPLATE {original}")
            finally:
                owner.execute(f"ALTER DATABASE {original} ALLOW_CONNECTIONS true")
        log_ref.cache_clear()
        try:
            for alias, copy in _ALIASES.items():
                connections[alias].settings_dict["NAME"] = copy
            yield
        finally:
            drop_connections()
            for alias, name in names.items():
                connections[alias].settings_dict["NAME"] = name
            for copy in _COPIES:
                owner.execute(f"DROP DATABASE {copy} WITH (FORCE)")
            log_ref.cache_clear()


class Keys:
    """The keyring of the region `us`, as its owner sees it."""

    def __init__(self, cluster: Any, root_key: Path, forget: Any) -> None:
        self._cluster = cluster
        self.root_key = root_key
        self.forget = forget

    def owner(self, database: str = KEYS) -> Any:
        """A superuser's connection."""
        return superuser(self._cluster, database)

    def rows(self, query: str, *values: Any, database: str = KEYS) -> list[Any]:
        """What a query finds."""
        with self.owner(database) as owner:
            return owner.execute(query, values).fetchall()

    def epochs(self) -> list[int]:
        """The epochs there are."""
        return [row[0] for row in self.rows("SELECT epoch FROM keyring_region_key ORDER BY epoch")]

    def turn(self) -> Any:
        """Turn the epoch, as a process that has just started."""
        from auditvault.vault import epochs

        self.forget()
        return epochs.turn("us")

    def make(self, tenant_id: UUID, count: int) -> list[UUID]:
        """Make keys of so many subjects; returns the subjects."""
        from auditvault.vault.keyring.services import keyring

        subjects = [uuid4() for _ in range(count)]
        keyring("us").keys_to_seal(tenant_id, subjects, "content")
        return subjects

    def wraps(self) -> dict[UUID, tuple[int, bytes]]:
        """Epoch and wrap of each subject's key, by its id."""
        found = self.rows("SELECT key_id, epoch, wrapped FROM keyring_subject_key")
        return {key_id: (epoch, bytes(wrapped)) for key_id, epoch, wrapped in found}

    def entries(self, *actions: str) -> list[tuple[str, dict[str, Any]]]:
        """Action and details of each record of these actions in the operator's log, oldest first."""
        import json

        found = self.rows(
            "SELECT action, header FROM admin_event WHERE action = ANY(%s) ORDER BY record_id",
            list(actions),
            database=REGION,
        )
        return [(action, json.loads(bytes(header))["details"]) for action, header in found]

    def contents(self, client: Any, tenant: Any, content: str) -> list[str]:
        """What an investigator of the region finds under the content's SHA-256."""
        digest = hashlib.sha256(content.encode()).hexdigest()
        body = {"content_hash": f"sha256:{digest}", "purpose": PURPOSE}
        headers = tenant.cleared(regions=("us",))
        return revealed(post(client, "/api/v1/resolve", body, headers))

    def environment(self) -> dict[str, str]:
        """The environment of an operator's process of this region."""
        found = self._cluster.environment("operator", regions=["us"])
        for name in [name for name in found if name.endswith("_URL")]:
            for copy, original in _COPIES.items():
                found[name] = found[name].replace(f"/{original}", f"/{copy}")
        return found | {"AUDITVAULT_ROOT_KEY_US_FILE": str(self.root_key)}


@contextmanager
def _own_root_key(folder: Path, monkeypatch: Any) -> Any:
    from django.conf import settings

    path = folder / "root_key"
    path.write_text(secrets.token_hex(32))
    path.chmod(0o600)
    monkeypatch.setitem(settings.KEY_PROVIDERS, "us", f"file://{path}")
    yield path


@pytest.fixture
def keys(_copies, service, cluster, tmp_path, monkeypatch):
    """The region's keys: none yet, and a root key of this test's own."""
    with superuser(cluster, KEYS) as owner:
        owner.execute("SET session_replication_role = replica")
        owner.execute(f"TRUNCATE {_KEY_TABLES} CASCADE")
    with superuser(cluster, REGION) as owner:
        owner.execute("SET session_replication_role = replica")
        owner.execute(
            "TRUNCATE vault_object, vault_identifier, vault_subject, vault_record CASCADE"
        )
        owner.execute("DELETE FROM admin_event WHERE action LIKE 'key.%'")
    with _own_root_key(tmp_path, monkeypatch) as path:
        forget_keys(monkeypatch)
        monkeypatch.setattr("auditvault.vault.subjects._tenant_subjects", {})
        yield Keys(cluster, path, lambda: forget_keys(monkeypatch))
    forget_keys(monkeypatch)


@pytest.fixture
def anna(keys, tenant, client):
    """Somebody with two contents in the region: the id of their subject."""
    headers = tenant.headers("ingest", regions=("us",))
    body = protobuf_of(chat("a secret", user="anna"), chat("more", user="anna"))
    assert send(client, tenant, body, headers=headers).status_code == 200
    ((subject,),) = keys.rows(
        "SELECT subject_id FROM vault_subject WHERE tenant_id = %s AND kind = 'person'",
        tenant.tenant_id,
        database="turning_region",
    )
    return subject
