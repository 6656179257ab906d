"""A hold refuses an erasure, and the database refuses to destroy a held key, whoever asks."""

from __future__ import annotations

from uuid import uuid4

import pytest

from tests.integration.ledger.attempts import REFUSED, outcome
from tests.integration.ledger.superuser import superuser
from tests.integration.vault.erasing import (
    NOTHING,
    CutOffError,
    erase,
    hold,
    left,
    records,
    state_of,
)


def test_a_hold_refuses_and_changes_nothing(tenant, cluster, anna):
    from auditvault.vault.shred import KeysHeldError

    before, size = left(cluster, tenant, anna), len(records())
    for scope in ({}, {"subject": anna}, {"subject": anna, "key": key_of(cluster, anna)}):
        with hold(cluster, tenant, **scope) as reference, pytest.raises(KeysHeldError) as caught:
            erase(tenant, anna)
        assert caught.value.references == {reference}
    assert (left(cluster, tenant, anna), len(records())) == (before, size)
    assert state_of(cluster, tenant, anna) == "active"


def test_a_released_hold_refuses_no_more(tenant, cluster, anna):
    with hold(cluster, tenant, anna):
        pass
    erase(tenant, anna)
    assert left(cluster, tenant, anna) == NOTHING


def test_a_hold_of_another_refuses_nothing(tenant, other_tenant, cluster, anna):
    with hold(cluster, tenant, uuid4()), hold(cluster, other_tenant):
        erase(tenant, anna)
    assert left(cluster, tenant, anna) == NOTHING


@pytest.mark.parametrize("scope", ["subject", "tenant"])
def test_once_an_erasure_has_begun_no_hold_is_placed(tenant, cluster, anna, cut_off, scope):
    cut_off("hide", "before")
    reference = uuid4()
    with pytest.raises(CutOffError):
        erase(tenant, anna, reference=reference)
    with superuser(cluster, "keys_eu") as connection:
        placed = connection.execute(
            "SELECT keyring_place_hold(%s, %s, %s, NULL, %s)",
            (uuid4(), tenant.tenant_id, anna if scope == "subject" else None, uuid4()),
        ).fetchone()
    assert placed == (False,)
    erase(tenant, anna, reference=reference)
    assert left(cluster, tenant, anna) == NOTHING


ROLES = ["app", "retention", "owner", "superuser"]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM keyring_subject_key WHERE subject_id = %(subject)s",
        "TRUNCATE keyring_subject_key",
        "UPDATE keyring_subject_key SET subject_id = gen_random_uuid() WHERE subject_id = %(subject)s",
        "UPDATE keyring_subject_key SET key_id = gen_random_uuid() WHERE subject_id = %(subject)s",
        "SELECT keyring_destroy(%(tenant)s, ARRAY[%(subject)s::uuid], 0, '')",
    ],
    ids=["delete", "truncate", "give_away", "rename", "destroy"],
)
def test_the_database_refuses_to_destroy_a_held_key_whoever_asks(
    connect, tenant, cluster, anna, role, statement
):
    values = {"tenant": tenant.tenant_id, "subject": anna}
    with hold(cluster, tenant, anna), superuser(cluster, "keys_eu") as owner_of_all:
        if "keyring_destroy(" in statement:
            # Even where the destruction was begun before the hold came, by whatever way.
            owner_of_all.execute(
                "INSERT INTO keyring_destruction (tenant_id, subject_id, erasure_id)"
                " VALUES (%s, %s, %s)",
                (tenant.tenant_id, anna, uuid4()),
            )
        connection = owner_of_all if role == "superuser" else connect(role, keys=True)
        assert outcome(connection, statement, values) == REFUSED
    assert left(cluster, tenant, anna)["keys"] == 1


def test_the_sweep_passes_a_held_key_over(tenant, cluster, anna, service):
    from auditvault.vault.sweep import sweep_orphan_keys

    with superuser(cluster, "region_eu") as connection:
        for table in ("vault_object", "vault_identifier"):
            connection.execute(f"DELETE FROM {table} WHERE subject_id = %s", (anna,))
    with superuser(cluster, "keys_eu") as connection:
        connection.execute(
            "UPDATE keyring_subject_key SET created_at = now() - interval '1 day',"
            " retired_at = now() - interval '1 day' WHERE subject_id = %s",
            (anna,),
        )
    with hold(cluster, tenant, anna):
        sweep_orphan_keys(region="eu")
        assert left(cluster, tenant, anna)["keys"] == 1
    sweep_orphan_keys(region="eu")
    assert left(cluster, tenant, anna)["keys"] == 0


def key_of(cluster, subject):
    with superuser(cluster, "keys_eu") as connection:
        (found,) = connection.execute(
            "SELECT key_id FROM keyring_subject_key WHERE subject_id = %s", (subject,)
        ).fetchone()
    return found
