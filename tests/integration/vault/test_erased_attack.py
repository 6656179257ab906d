"""Who has everything that is left, the true plaintext and a million guesses confirms nothing of an erased person."""

from __future__ import annotations

import hashlib
import json
import re

import pytest

from auditvault.core.tlog.commitment import content_commitment
from tests.integration.ingest.sending import chat, record
from tests.integration.ledger.superuser import superuser
from tests.integration.vault.erasing import CLAIM, erase, subject_of
from tests.integration.vault.looking import forget_keys

TRUTH = "My daughter Anna has the flu and 39.4 degrees"
ROLE = "input_messages"
HEX_32 = re.compile(rb"[0-9a-f]{64}")
MILLION = 1_000_000


def candidates(count):
    """So many guesses of the same kind, with the truth among them."""
    truth = count * 2 // 3
    for number in range(count):
        yield TRUTH if number == truth else f"My daughter Anna has the flu and {number} degrees"


@pytest.fixture
def anna(client, tenant, cluster):
    claim = {"prompt.hash": CLAIM}
    record(client, tenant, chat(TRUTH, user="anna", session="s", attributes=claim))
    return subject_of(cluster, tenant)


def everything(cluster, tenant):
    """Every value of 32 bytes in any row of the tenant's, in any database, as bytes or as hex inside something."""
    found = set()
    for value in values(cluster, tenant):
        if isinstance(value, bytes):
            if len(value) == 32:
                found.add(value)
            text = value
        else:
            text = str(value).encode()
        found.update(bytes.fromhex(match.decode()) for match in HEX_32.findall(text))
    return found


def values(cluster, tenant):
    for database in ("region_eu", "region_us", "keys_eu", "keys_us", "auditvault_control"):
        with superuser(cluster, database) as connection:
            tables = connection.execute(
                "SELECT table_name FROM information_schema.columns WHERE column_name = 'tenant_id'"
                " AND table_schema = 'public'"
            ).fetchall()
            for (table,) in tables:
                query = f"SELECT * FROM {table} WHERE tenant_id::text = %s"
                for row in connection.execute(query, (str(tenant.tenant_id),)).fetchall():
                    yield from (value for value in row if value is not None)


def header_of(cluster, tenant):
    """Of the one interaction: the commitment to its prompt, and the opening that lies beside the header."""
    with superuser(cluster, "region_eu") as connection:
        ((opening, header),) = connection.execute(
            "SELECT opening, header FROM traces_header WHERE tenant_id = %s", (tenant.tenant_id,)
        ).fetchall()
    (commitment,) = [
        bytes.fromhex(content["commitment"])
        for content in json.loads(bytes(header))["contents"]
        if content["role"] == ROLE
    ]
    return commitment, bytes(opening)


def true_opening(tenant, cluster):
    """The opening of the prompt's commitment, as the service gets it with the person's key."""
    from auditvault.ledger.scope import region_alias, tenant_scope
    from auditvault.vault.erasures.pending import refuse_while_restore_pending
    from auditvault.vault.opening import objects_by_tag, open_stored

    tag = tag_keys(tenant).lookup_tag(hashlib.sha256(TRUTH.encode()).digest())
    with tenant_scope(region_alias("eu"), tenant.tenant_id) as connection:
        (stored,) = objects_by_tag(connection, tag, 10)
        permit = refuse_while_restore_pending(connection, "eu")
        opened = open_stored(permit=permit, tenant_id=tenant.tenant_id, stored=stored)
    return opened.opening


def tag_keys(tenant):
    """The keys of the tenant's tags. They outlive the person, so the attacker is given them."""
    from auditvault.vault.keyring.services import keyring

    return keyring("eu").tag_keys(tenant.tenant_id)


def name_tag(tenant, kind, value):
    """The tag of a name, as the service makes it."""
    from auditvault.vault.kinds import Identifier
    from auditvault.vault.subjects import identifier_tag

    return identifier_tag(
        region="eu", tenant_id=tenant.tenant_id, identifier=Identifier(kind, value)
    )


def matches(guesses, seen, *, tags, openings):
    """The guesses that something in `seen` confirms: a hash, a tag, or a commitment under one of these openings."""
    found = []
    for guess in guesses:
        digest = hashlib.sha256(guess.encode()).digest()
        if (
            digest in seen
            or tags.lookup_tag(digest) in seen
            or any(content_commitment(opening, ROLE, digest) in seen for opening in openings)
        ):
            found.append(guess)
    return found


@pytest.mark.parametrize("means", ["tags", "openings"])
def test_before_the_erasure_the_services_own_means_find_the_truth_among_guesses(
    tenant, cluster, anna, means
):
    """The control: the attack below would find something if there were something."""
    seen = everything(cluster, tenant)
    if means == "openings":
        seen = {header_of(cluster, tenant)[0]}
    openings = [true_opening(tenant, cluster)] if means == "openings" else []
    found = matches(candidates(3000), seen, tags=tag_keys(tenant), openings=openings)
    assert found == [TRUTH]


def test_after_the_erasure_a_million_guesses_with_the_truth_among_them_match_nothing(
    tenant, cluster, anna
):
    opening = header_of(cluster, tenant)[1]
    erase(tenant, anna)
    seen = everything(cluster, tenant)
    assert header_of(cluster, tenant)[0] in seen  # the commitment itself is still there
    assert matches(candidates(MILLION), seen, tags=tag_keys(tenant), openings=[opening]) == []


def windows(cluster, tenant):
    """Every 32 bytes in a row that could be an opening."""
    for value in values(cluster, tenant):
        if isinstance(value, bytes):
            yield from (value[at : at + 32] for at in range(len(value) - 31))


def test_nothing_that_is_left_opens_the_commitment_to_the_known_plaintext(tenant, cluster, anna):
    commitment, _ = header_of(cluster, tenant)
    digest = hashlib.sha256(TRUTH.encode()).digest()
    assert content_commitment(true_opening(tenant, cluster), ROLE, digest) == commitment
    erase(tenant, anna)
    assert not any(
        content_commitment(guess, ROLE, digest) == commitment for guess in windows(cluster, tenant)
    )


def test_no_tag_of_a_name_or_of_a_senders_own_hash_is_left(tenant, cluster, anna):
    keys = tag_keys(tenant)
    wanted = {
        name_tag(tenant, "user", "anna"),
        name_tag(tenant, "session", "s"),
        keys.lookup_tag(bytes.fromhex(CLAIM)),
        keys.lookup_tag(hashlib.sha256(TRUTH.encode()).digest()),
    }
    assert wanted <= everything(cluster, tenant)
    erase(tenant, anna)
    assert wanted & everything(cluster, tenant) == set()


def test_the_erased_persons_rows_put_back_open_with_no_key_that_is_left(
    client, tenant, cluster, anna, monkeypatch
):
    """Ciphertext from a backup and every living key: the data key is not among them."""
    from auditvault.vault.keyring.services import KeyDestroyedError, keyring

    with superuser(cluster, "region_eu") as connection:
        (key_id,) = connection.execute(
            "SELECT DISTINCT key_id FROM vault_object WHERE subject_id = %s", (anna,)
        ).fetchone()
    erase(tenant, anna)
    forget_keys(monkeypatch)
    with pytest.raises(KeyDestroyedError):
        keyring("eu").key_to_open(tenant.tenant_id, key_id)
