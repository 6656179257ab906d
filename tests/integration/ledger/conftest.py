"""A tenant that has rows in every table of its region, and connections as each database role."""

from __future__ import annotations

import hashlib
from urllib.parse import unquote
from uuid import uuid4

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from auditvault.core.policy.approvals import plan_digest
from auditvault.core.tlog.cosignature import CosignatureSigner
from tests.integration.ingest.sending import chat, headers_of, record
from tests.integration.ledger.rotation import Rig, own_region
from tests.integration.ledger.superuser import log_number, superuser
from tests.integration.privacy.filling import (
    fill_erasing,
    fill_holds,
    fill_requests,
    fill_retention,
)

_made = []


@pytest.fixture
def everywhere(client, tenant, run_signer, cluster):
    """Two hundred and sixty records of a tenant, with names, aliases, a full tile, a look and a checkpoint.

    Made once: whoever asks for it changes none of it.
    """
    if not _made:
        _made.append(_fill(client, tenant, run_signer))
        _fill_by_hand(cluster, tenant.tenant_id)
    return _made[0]


def _fill(client, tenant, run_signer):
    claim = {"prompt.hash": hashlib.sha256(b"as the sender hashed it").hexdigest()}
    spans = [chat(f"{n}", user="anna", session="one", system="Be brief.") for n in range(259)]
    record(client, tenant, *spans, chat("claimed", attributes=claim), chat(None, user="anna"))
    headers_of(client, tenant)
    run_signer()
    cosign(tenant)
    return tenant


def cosign(tenant):
    """Let somebody's witness sign the newest checkpoint of the tenant's interactions."""
    from auditvault.core.tlog.checkpoint import Checkpoint
    from auditvault.ledger.cosignatures import StoredLine, store_lines
    from auditvault.ledger.logs import tenant_logs
    from auditvault.ledger.scope import region_alias, tenant_scope
    from auditvault.ledger.selectors import latest_checkpoint

    key = Ed25519PrivateKey.generate()
    signer = CosignatureSigner("witness.example/w1", key)
    log = tenant_logs(region="eu", tenant_id=tenant.tenant_id)[0]
    with tenant_scope(region_alias("eu"), tenant.tenant_id) as connection:
        newest = latest_checkpoint(connection, log)
        checkpoint = Checkpoint(origin=log.origin, size=newest.size, root=newest.root)
        line = StoredLine(
            witness=key.public_key().public_bytes_raw(),
            cosigned_at=newest.signed_at,
            line=signer.signature_line(checkpoint, timestamp=int(newest.signed_at.timestamp())),
        )
        store_lines(connection, log, newest, [line])


def _fill_by_hand(cluster, tenant_id):
    """Rows of tables that the service fills for no tenant, asks somebody outside for, or fills in years."""
    rooms = (
        _fill_evidence, _fill_vault, _fill_grants, _fill_reviews, _fill_usage, _fill_transfers, fill_holds,
        fill_requests, fill_erasing, fill_retention, _fill_ledger,
    )  # fmt: skip
    with superuser(cluster, "region_eu") as connection:
        for fill in rooms:
            fill(connection, tenant_id)
    with superuser(cluster, "keys_eu") as connection:
        _fill_keyring(connection, tenant_id)


def _fill_evidence(connection, tenant_id):
    connection.execute(
        "INSERT INTO evidence_stamped VALUES (%s, 1, 1, %s, 0)", (tenant_id, uuid4())
    )
    connection.execute(
        "INSERT INTO evidence_copy VALUES (%s, 1, %s, 0, NULL, NULL)", (tenant_id, bytes(32))
    )
    export = uuid4()
    connection.execute(
        "INSERT INTO evidence_export (tenant_id, export_id, human, actor, request, certificate, created_at,"
        " expires_at, state) VALUES (%s, %s, %s, 'made', '{}', '', now(), now() + interval '1 hour', 'fetched')",
        (tenant_id, export, uuid4()),
    )
    connection.execute(
        "INSERT INTO evidence_export_part VALUES (%s, %s, 1, 0, %s, '')",
        (tenant_id, export, bytes(32)),
    )


def _fill_vault(connection, tenant_id):
    connection.execute(
        "INSERT INTO vault_piece SELECT tenant_id, object_id, 1, 0, 'x' FROM vault_object"
        " WHERE tenant_id = %s LIMIT 1",
        (tenant_id,),
    )
    connection.execute(
        "INSERT INTO vault_scan (tenant_id, object_id, version, detector, state, code, settled_at)"
        " SELECT tenant_id, object_id, 1, '0123456789abcdef', 'failed', 'scan_failed', now()"
        " FROM vault_object WHERE tenant_id = %s LIMIT 1",
        (tenant_id,),
    )
    connection.execute(
        "INSERT INTO vault_detector (tenant_id, detector) VALUES (%s, '0123456789abcdef')",
        (tenant_id,),
    )
    connection.execute(
        "INSERT INTO vault_rendering (tenant_id, object_id, version, detector, envelope)"
        " SELECT tenant_id, object_id, 1, '0123456789abcdef', 'x' FROM vault_object WHERE tenant_id = %s LIMIT 1",
        (tenant_id,),
    )
    connection.execute(
        "INSERT INTO vault_placeholder (tenant_id, object_id, entity, tag, subject_id, number)"
        " SELECT tenant_id, object_id, 'PERSON', %s, subject_id, 1 FROM vault_object WHERE tenant_id = %s LIMIT 1",
        (bytes(32), tenant_id),
    )
    connection.execute(
        "INSERT INTO vault_mention (tenant_id, object_id, kind, tag)"
        " SELECT tenant_id, object_id, 'email', %s FROM vault_object WHERE tenant_id = %s LIMIT 1",
        (bytes(32), tenant_id),
    )
    connection.execute(
        "INSERT INTO vault_erasure (tenant_id, erasure_id, reference, subject_ids, idx, hash, done_at)"
        " VALUES (%s, %s, %s, %s, 1000000000, %s, now())",
        (tenant_id, uuid4(), uuid4(), [uuid4()], bytes(32)),
    )
    connection.execute(
        "INSERT INTO vault_identifier_kind VALUES (%s, 'customer', 'exact', NULL, %s)",
        (tenant_id, uuid4()),
    )
    connection.execute(
        "INSERT INTO vault_subject_link (tenant_id, subject_id, group_id)"
        " SELECT tenant_id, subject_id, %s FROM vault_subject WHERE tenant_id = %s LIMIT 1",
        (uuid4(), tenant_id),
    )
    connection.execute(
        "INSERT INTO payload_policy VALUES (%s, 1, now(), %s, %s)",
        (
            tenant_id,
            uuid4(),
            b'{"v":"auditvault/payload-policy/1","text":"Everything is kept.","default":{"keep":"all"}}',
        ),
    )


def _fill_reviews(connection, tenant_id):
    review = (tenant_id, uuid4())
    connection.execute(
        "INSERT INTO access_review VALUES (%s, %s, '2026-Q4', now(), %s, 'user:made', '{}', sha256('{}'))",
        (*review, uuid4()),
    )
    connection.execute(
        "INSERT INTO access_review_sign_off VALUES (%s, %s, now(), %s, 'user:made', '{}', %s)",
        (*review, uuid4(), uuid4()),
    )


def _fill_usage(connection, tenant_id):
    """What is counted, and told."""
    connection.execute(
        "INSERT INTO lookup_use VALUES (%s, 'token:made', now(), 1, false)", (tenant_id,)
    )
    for statement in (
        "INSERT INTO look_count VALUES (%s, 'token:made', current_date, 1, 0, false, NULL, 0)",
        "INSERT INTO look_subject VALUES (%s, 'token:made', current_date, gen_random_uuid())",
        "INSERT INTO look_alerted VALUES (%s, 'token:made', 'made', now())",
        "INSERT INTO look_limit VALUES (%s, 1, now(), gen_random_uuid(), 50)",
    ):
        connection.execute(statement, (tenant_id,))
    # Its delivery comes with it.
    connection.execute(
        "INSERT INTO access_alert VALUES (%s, %s, now(), 'made', '{}')", (tenant_id, uuid4())
    )
    connection.execute(
        "INSERT INTO access_window VALUES (%s, 'token:made', 'read_log', now(), 1)",
        (tenant_id,),
    )


def _fill_transfers(connection, tenant_id):
    basis = (tenant_id, uuid4())
    connection.execute(
        "INSERT INTO transfer_basis VALUES (%s, %s, 'derogation', 'made', 'eu', 'us', now(), now() + '1h', %s,"
        " 'user:made', now())",
        (*basis, uuid4()),
    )
    connection.execute("INSERT INTO transfer_basis_end VALUES (%s, %s, 'user:made', now())", basis)


def _fill_ledger(connection, tenant_id):
    connection.execute(
        "INSERT INTO admin_event VALUES (%s, %s, now(), 'test.made', %s, '')",
        (tenant_id, uuid4(), bytes(32)),
    )
    number = log_number(connection, tenant_id, "interactions")
    connection.execute(
        "INSERT INTO ledger_prune VALUES (%s, %s, 0, 256, 256, %s, now(), now(), '-', %s, '')",
        (tenant_id, number, uuid4(), bytes(32)),
    )
    connection.execute(
        "INSERT INTO ledger_pruned VALUES (%s, %s, 256, now(), now(), 0, 0, 0)",
        (tenant_id, number),
    )


def _fill_keyring(connection, tenant_id):
    ids = (uuid4(), tenant_id, uuid4(), uuid4())
    connection.execute(
        "INSERT INTO keyring_hold (hold_id, tenant_id, subject_id, reference)"
        " VALUES (%s, %s, %s, %s)",
        ids,
    )
    connection.execute(
        "INSERT INTO keyring_destruction (erasure_id, tenant_id, subject_id) VALUES (%s, %s, %s)",
        ids[:3],
    )


def _fill_grants(connection, tenant_id):
    """An approved request, the grant that it made, and a look under it."""
    approval, grant, asker = uuid4(), uuid4(), uuid4()
    connection.execute(
        "INSERT INTO access_approval (tenant_id, approval_id, operation, case_ref, plan, plan_digest,"
        " requested_by, requester, requested_at, expires_at, state)"
        " VALUES (%s, %s, 'content_grant', 'INC-1', %s, %s, %s, 'user:made', now(), now() + '1h', 'requested')",
        (tenant_id, approval, b"{}", plan_digest(b"{}"), asker),
    )
    connection.execute(
        "UPDATE access_approval SET state = 'approved', approved_by = %s, approver = 'user:other',"
        " approved_at = now() WHERE approval_id = %s",
        (uuid4(), approval),
    )
    connection.execute(
        "INSERT INTO access_grant (tenant_id, grant_id, approval_id, human_id, holder, case_ref, terms, approver,"
        " starts_at, expires_at)"
        " VALUES (%s, %s, %s, %s, 'user:made', 'INC-1', '{}', 'user:other', now(), now() + '1h')",
        (tenant_id, grant, approval, asker),
    )
    connection.execute(
        "INSERT INTO access_grant_use VALUES (%s, %s, %s, %s, now())",
        (tenant_id, grant, uuid4(), uuid4()),
    )
    broken = uuid4()
    connection.execute(
        "INSERT INTO access_break_glass (tenant_id, break_glass_id, record_id, human_id, holder, case_ref, opened_at,"
        " expires_at, due_at) VALUES (%s, %s, %s, %s, 'user:made', 'INC-1', now(), now() + '1h', now() + '1d')",
        (tenant_id, broken, uuid4(), uuid4()),
    )
    connection.execute("INSERT INTO access_break_glass_told VALUES (%s, %s)", (tenant_id, uuid4()))
    connection.execute(
        "INSERT INTO access_break_glass_look VALUES (%s, %s, %s, 1, now())",
        (tenant_id, broken, uuid4()),
    )


@pytest.fixture
def connect(cluster, service):
    """`connect("app")` is a connection as that role; each statement commits unless one says BEGIN."""
    purposes = {
        "app": ("web", "AUDITVAULT_REGION_EU_URL", "AUDITVAULT_KEYS_EU_URL"),
        "owner": ("owner", "AUDITVAULT_REGION_EU_URL", "AUDITVAULT_KEYS_EU_URL"),
        "retention": ("worker", "AUDITVAULT_RETENTION_EU_URL", "AUDITVAULT_KEYS_RETENTION_EU_URL"),
        "signer": ("signer", "AUDITVAULT_SIGNER_EU_URL", ""),
    }
    opened = []

    def open_as(role, *, keys=False):
        purpose, region_url, keys_url = purposes[role]
        url = cluster.environment(purpose)[keys_url if keys else region_url]
        connection = psycopg.connect(url, autocommit=True)
        assert connection.info.user == unquote(f"auditvault_{role}")
        opened.append(connection)
        return connection

    yield open_as
    for connection in opened:
        connection.close()


@pytest.fixture(scope="module")
def _copied_region(cluster):
    with own_region(cluster):
        yield


@pytest.fixture
def rig(_copied_region, service, cluster, tmp_path, monkeypatch):
    """A region and a signer of this test's own."""
    return Rig(cluster, tmp_path, monkeypatch)
