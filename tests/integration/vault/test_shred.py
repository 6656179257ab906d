"""Erasing a person: what goes, what stays, what refuses it, and that it finishes wherever it was cut off."""

from __future__ import annotations

from uuid import uuid4

import pytest

from tests.integration.evidence.verdict import reports_of
from tests.integration.ingest.sending import chat, headers_of, record
from tests.integration.ledger.superuser import superuser
from tests.integration.vault.erasing import (
    AT,
    CLAIM,
    NOTHING,
    erase,
    heads,
    left,
    records,
    state_of,
    subject_of,
)
from tests.integration.vault.looking import forget_keys, resolve, resolve_hash, revealed
from tests.integration.vault.sealed import LARGE, pieces, seal_stream


def test_everything_of_the_person_is_gone(tenant, cluster, anna):
    before = left(cluster, tenant, anna)
    assert all(before.values())
    erase(tenant, anna)
    assert left(cluster, tenant, anna) == NOTHING
    assert state_of(cluster, tenant, anna) == "erased"
    with superuser(cluster, "region_eu") as connection:
        aliases = connection.execute(
            "SELECT count(*) FROM vault_tag_alias WHERE tenant_id = %s", (tenant.tenant_id,)
        ).fetchone()
    assert aliases == (0,)


def test_nothing_of_the_person_is_found_or_opened(client, tenant, anna):
    erase(tenant, anna)
    assert revealed(resolve(client, tenant, "a")) == []
    assert revealed(resolve_hash(client, tenant, f"sha256:{CLAIM}")) == []
    assert headers_of(client, tenant, user="anna") == []
    assert headers_of(client, tenant, session="s") == []


def test_another_persons_content_stays(client, tenant, anna):
    record(client, tenant, chat("a", user="bert"))
    erase(tenant, anna)
    assert revealed(resolve(client, tenant, "a")) == ["a"]


def test_what_belongs_to_the_tenant_stays(client, tenant, cluster, anna, monkeypatch):
    erase(tenant, anna)
    forget_keys(monkeypatch)
    assert revealed(resolve(client, tenant, "Be brief.")) == ["Be brief."]


def test_the_same_name_is_somebody_new_afterwards(client, tenant, cluster, anna):
    erase(tenant, anna)
    record(client, tenant, chat("c", user="anna"))
    assert subject_of(cluster, tenant) != anna
    assert left(cluster, tenant, anna) == NOTHING
    assert revealed(resolve(client, tenant, "c")) == ["c"]


def test_headers_and_the_log_stay_and_still_verify(client, tenant, anna, cluster, run_signer):
    erase(tenant, anna)
    run_signer()
    assert len(headers_of(client, tenant)) == 3
    found = reports_of(tenant, region="eu", with_payloads=True)
    assert {kind: report.first_bad for kind, report in found.items()} == {key: {} for key in found}
    assert found["interactions"].payloads_gone == 2


def test_the_record_names_every_version_of_the_keys_and_nobody(tenant, cluster, anna):
    with superuser(cluster, "keys_eu") as connection:
        known = connection.execute(
            "SELECT key_id::text, version FROM keyring_subject_key WHERE subject_id = %s", (anna,)
        ).fetchall()
    reference = uuid4()
    done = erase(tenant, anna, reference=reference)
    (found,) = [item for item in records() if item.reference == str(reference)]
    assert [(key.key_id, key.version) for key in found.keys] == known
    assert (found.tenant_id, found.subject_ids) == (str(tenant.tenant_id), (str(anna),))
    assert (found.index, found.erasure_id) == (done.index, str(done.erasure_id))
    assert found.recorded_at == "2026-11-24T22:00:00.000000Z"
    assert len(heads(cluster)) == 1


def test_several_subjects_go_together(client, tenant, cluster, anna):
    record(client, tenant, chat("d", session="alone"))
    with superuser(cluster, "region_eu") as connection:
        (other,) = connection.execute(
            "SELECT subject_id FROM vault_subject WHERE tenant_id = %s AND kind = 'session'",
            (tenant.tenant_id,),
        ).fetchone()
    erase(tenant, anna, other)
    assert (left(cluster, tenant, anna), left(cluster, tenant, other)) == (NOTHING, NOTHING)


def test_more_objects_than_a_batch_go(client, tenant, cluster, anna, monkeypatch):
    from auditvault.vault import shred

    record(client, tenant, *[chat(f"{n}", user="anna") for n in range(7)])
    monkeypatch.setattr(shred, "BATCH", 2)
    assert erase(tenant, anna).counts.objects == 9
    assert left(cluster, tenant, anna) == NOTHING


def test_a_large_content_goes_with_all_its_pieces(tenant, cluster, anna):
    said = seal_stream(tenant, LARGE, subject_id=anna)
    assert pieces(cluster, said["object"])
    erase(tenant, anna)
    assert pieces(cluster, said["object"]) == []
    assert left(cluster, tenant, anna) == NOTHING


def test_asking_again_finds_it_done_and_writes_no_second_record(tenant, anna):
    reference = uuid4()
    first = erase(tenant, anna, reference=reference)
    size = len(records())
    again = erase(tenant, anna, reference=reference)
    assert (again.erasure_id, again.index) == (first.erasure_id, first.index)
    assert (len(records()), again.counts.objects, again.counts.keys) == (size, 0, 0)


@pytest.mark.parametrize("case", ["nobody", "unknown", "another_tenants", "the_tenant", "too_many"])
def test_what_cannot_be_erased_is_refused_and_nothing_changes(
    tenant, other_tenant, cluster, anna, case
):
    from auditvault.vault.shred import ErasureRefusedError
    from auditvault.vault.subjects import tenant_subject

    before, size = left(cluster, tenant, anna), len(records())
    subjects = {
        "nobody": [],
        "unknown": [anna, uuid4()],
        "another_tenants": [anna],
        "the_tenant": [anna, tenant_subject(region="eu", tenant_id=tenant.tenant_id, at=AT)],
        "too_many": [anna, *(uuid4() for _ in range(1000))],
    }[case]
    with pytest.raises(ErasureRefusedError):
        erase(other_tenant if case == "another_tenants" else tenant, *subjects)
    assert (left(cluster, tenant, anna), len(records())) == (before, size)
    assert state_of(cluster, tenant, anna) == "active"


def test_a_key_that_is_not_trusted_erases_nothing(tenant, cluster, anna, monkeypatch, tmp_path):
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from django.conf import settings

    from auditvault.vault.erasures.keys import ErasureKeyError

    path = tmp_path / "other.pem"
    path.write_bytes(
        Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    path.chmod(0o600)
    monkeypatch.setattr(settings, "ERASURE_KEY_FILE", str(path))
    with pytest.raises(ErasureKeyError):
        erase(tenant, anna)
    assert state_of(cluster, tenant, anna) == "active"


@pytest.mark.parametrize("break_rule", ["missing", "exposed", "no_key", "a_link_to_nothing"])
def test_a_key_file_that_breaks_a_rule_is_refused(tmp_path, break_rule, service):
    from auditvault.vault.erasures.keys import ErasureKeyError, signing_key

    path = tmp_path / "key.pem"
    if break_rule == "exposed":
        from pathlib import Path

        from django.conf import settings

        path.write_bytes(Path(settings.ERASURE_KEY_FILE).read_bytes())
        path.chmod(0o640)
    elif break_rule == "no_key":
        path.write_text("nothing")
        path.chmod(0o600)
    elif break_rule == "a_link_to_nothing":
        path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(ErasureKeyError):
        signing_key(path)
