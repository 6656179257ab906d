"""The sweep of orphan keys: retired, then reinstated or destroyed; never a key that seals something."""

from __future__ import annotations

from uuid import uuid4

import pytest

from tests.integration.ingest.sending import chat, record
from tests.integration.ledger.superuser import superuser
from tests.integration.vault.looking import forget_keys, resolve, revealed


@pytest.fixture
def orphan(tenant, service):
    """The subject of a key that seals nothing: what a request that failed leaves."""
    from auditvault.vault.keyring.services import keyring

    subject = uuid4()
    keyring("eu").keys_to_seal(tenant.tenant_id, [subject], "content")
    return subject


@pytest.fixture
def age(cluster, tenant):
    """`age(column, interval)` sets the tenant's keys back in time."""

    def make(column, interval):
        with superuser(cluster, "keys_eu") as connection:
            connection.execute(
                f"UPDATE keyring_subject_key SET {column} = {column} - %s::interval"
                " WHERE tenant_id = %s",
                (interval, tenant.tenant_id),
            )

    return make


@pytest.fixture
def keys(cluster, tenant):
    """`keys()` is subject -> whether its key is retired."""

    def read():
        with superuser(cluster, "keys_eu") as connection:
            rows = connection.execute(
                "SELECT subject_id, retired_at IS NOT NULL FROM keyring_subject_key"
                " WHERE tenant_id = %s ORDER BY version",
                (tenant.tenant_id,),
            ).fetchall()
        return dict(rows)

    return read


def sweep():
    from auditvault.vault.sweep import sweep_orphan_keys

    return sweep_orphan_keys(region="eu")


def test_a_young_orphan_is_left(orphan, age, keys):
    age("created_at", "59 minutes")
    sweep()
    assert keys() == {orphan: False}


def test_an_old_orphan_is_retired_first(orphan, age, keys):
    age("created_at", "61 minutes")
    sweep()
    assert keys() == {orphan: True}


def test_a_retired_orphan_is_not_destroyed_too_early(orphan, age, keys):
    age("created_at", "61 minutes")
    sweep()
    age("retired_at", "9 minutes")
    sweep()
    assert keys() == {orphan: True}


def test_a_retired_orphan_is_destroyed_by_a_later_look(orphan, age, keys):
    age("created_at", "61 minutes")
    sweep()
    age("retired_at", "11 minutes")
    assert sweep().destroyed >= 1
    assert keys() == {}


def test_a_retired_key_is_taken_by_no_sealer(orphan, age, keys, tenant, monkeypatch):
    from auditvault.vault.keyring.services import keyring

    age("created_at", "61 minutes")
    sweep()
    forget_keys(monkeypatch)
    keyring("eu").keys_to_seal(tenant.tenant_id, [orphan], "content")
    assert keys() == {orphan: False}  # the latest version: a new key


def test_a_retired_key_that_seals_something_after_all_is_reinstated(
    client, tenant, cluster, age, keys
):
    record(client, tenant, chat("a", user="anna"))
    age("created_at", "61 minutes")
    with superuser(cluster, "keys_eu") as connection:
        connection.execute(
            "UPDATE keyring_subject_key SET retired_at = now() - interval '1 day'"
            " WHERE tenant_id = %s",
            (tenant.tenant_id,),
        )
    assert sweep().reinstated >= 1
    assert False in set(keys().values())


def test_a_key_in_use_is_left_however_old_it_is(client, tenant, age, keys, monkeypatch):
    record(client, tenant, chat("a", user="anna", system="Be brief."))
    before = keys()
    age("created_at", "1000 days")
    for _ in range(2):
        sweep()
        age("retired_at", "1 day")
    assert keys() == before
    forget_keys(monkeypatch)
    assert revealed(resolve(client, tenant, "a")) == ["a"]


def test_a_key_that_seals_an_identifier_alone_is_in_use(client, tenant, cluster, age, keys):
    record(client, tenant, chat("a", user="anna"))
    with superuser(cluster, "region_eu") as connection:
        connection.execute("DELETE FROM vault_object WHERE tenant_id = %s", (tenant.tenant_id,))
        (named,) = connection.execute(
            "SELECT subject_id FROM vault_identifier WHERE tenant_id = %s", (tenant.tenant_id,)
        ).fetchone()
    age("created_at", "61 minutes")
    sweep()
    assert keys()[named] is False


def test_more_keys_than_a_batch_are_swept(tenant, service, age, keys):
    from auditvault.vault import sweep as module
    from auditvault.vault.keyring.services import keyring

    many = [uuid4() for _ in range(module.BATCH + 10)]
    keyring("eu").keys_to_seal(tenant.tenant_id, many, "content")
    age("created_at", "61 minutes")
    sweep()
    assert set(keys().values()) == {True}
