"""Alice is found in Bob's prompt: by keyed tags that die with either of them."""

from __future__ import annotations

from datetime import UTC, datetime

import psycopg
import pytest

from tests.integration.ingest.sending import chat, record
from tests.integration.ledger.superuser import superuser
from tests.integration.privacy.erasing import Officers
from tests.integration.privacy_detection.scanning import objects, scan
from tests.integration.vault.erasing import erase

ALICE = "alice.moreau@example.org"
PROMPT = f"Tell Alice Moreau, {ALICE}, +49 30 901820, that Bob is late."


@pytest.fixture
def officers(service, tenant):
    return Officers(tenant)


def mentions(cluster, tenant):
    """Object and kind of each row."""
    with superuser(cluster, "region_eu") as connection:
        return connection.execute(
            "SELECT object_id, kind FROM vault_mention WHERE tenant_id = %s ORDER BY kind",
            (tenant.tenant_id,),
        ).fetchall()


def people(cluster, tenant):
    with superuser(cluster, "region_eu") as connection:
        rows = connection.execute(
            "SELECT subject_id FROM vault_subject WHERE tenant_id = %s AND kind = 'person' ORDER BY 1",
            (tenant.tenant_id,),
        ).fetchall()
    return [row[0] for row in rows]


@pytest.fixture
def bobs(client, tenant, cluster, analyser):
    """Bob's prompt about Alice, scanned; Alice is known by her address, and said nothing about herself."""
    record(client, tenant, chat("When do you open?", user=ALICE))
    record(client, tenant, chat(PROMPT, user="bob"))
    while scan(tenant, analyser):
        pass
    return objects(cluster, tenant)[-1]


def discovered(officers, user):
    from auditvault.privacy.erasing.discovery import discover

    eu, _ = discover(
        region="eu",
        credential=officers.credential(officers.operator),
        request_id=officers.ask(user),
        now=datetime.now(UTC),
    )
    return eu


def test_what_names_somebody_in_a_content_is_kept_as_tags_alone(tenant, cluster, bobs):
    assert mentions(cluster, tenant) == [
        (bobs, kind) for kind in ("email", "name", "phone", "user")
    ]
    with superuser(cluster, "region_eu") as connection:
        rows = str(
            connection.execute(
                "SELECT m::text FROM vault_mention AS m WHERE tenant_id = %s", (tenant.tenant_id,)
            ).fetchall()
        ).lower()
    for clear in (ALICE, "alice", "moreau", "901820"):
        assert clear not in rows
        assert clear.encode().hex() not in rows


def test_discovery_finds_alice_in_bobs_prompt_and_counts_it_to_nobodys_data(
    tenant, cluster, bobs, officers
):
    alice, bob = people(cluster, tenant)
    eu = discovered(officers, ALICE)

    assert [(one.object_id, one.subject_id, one.kinds) for one in eu.mentions] == [
        (bobs, bob, ["user"])
    ]
    # It is listed for somebody to decide on; what would be erased is hers alone.
    assert (eu.found.subject_ids, eu.found.objects) == ((alice,), 1)
    assert discovered(officers, "bob").mentions == []


def test_an_erasure_of_alice_leaves_bobs_prompt_and_nothing_that_leads_to_her(
    tenant, cluster, bobs, officers
):
    alice, _ = people(cluster, tenant)
    erase(tenant, alice)

    assert bobs in objects(cluster, tenant)
    assert "user" not in [kind for _, kind in mentions(cluster, tenant)]
    assert discovered(officers, ALICE).mentions == []


def test_an_erasure_of_bob_takes_whom_he_mentioned(tenant, cluster, bobs):
    erase(tenant, people(cluster, tenant)[1])

    assert mentions(cluster, tenant) == []


def test_a_name_of_one_word_and_ones_own_address_lead_nowhere(
    client, tenant, cluster, analyser, officers
):
    record(client, tenant, chat(f"I am {ALICE}. My name is Alice.", user=ALICE))
    scan(tenant, analyser)

    assert "name" not in [kind for _, kind in mentions(cluster, tenant)]
    assert discovered(officers, ALICE).mentions == []


@pytest.mark.parametrize(
    "statement", ["DELETE FROM vault_mention", "UPDATE vault_mention SET kind = 'x'"]
)
def test_the_services_role_changes_no_mention_by_hand(connect, statement):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connect("app").execute(statement)
