"""A third party follows a log over HTTP, by the specification alone, and is not deceived."""

from __future__ import annotations

import json

import pytest

from tests.integration.api.growing import grow, http_service, open_log, uuid_of, vkey_of
from tests.integration.evidence.verdict import logs_of
from tests.integration.ingest.sending import chat, record
from tests.integration.ledger.superuser import tampering
from tests.reference.tlog_follower import Departure, Follower, NotServed


@pytest.fixture
def url(service):
    with http_service() as address:
        yield address


@pytest.fixture
def follow(url, tenant):
    """`follow(log)` is a monitor with an auditor's token."""

    def make(log, **headers):
        prefix = f"{url}/tlog/{uuid_of(log)}"
        return Follower(prefix, vkey_of(log), headers or tenant.headers("auditor"))

    return make


def test_a_recorded_trace_is_followed_entry_by_entry(client, tenant, run_signer, follow):
    record(client, tenant, *[chat(f"{n}") for n in range(300)])
    run_signer()
    log = logs_of(tenant, region="eu")["interactions"]
    follower = follow(log)
    first = follower.update()
    record(client, tenant, *[chat(f"{n}") for n in range(260)])
    unsigned = follower.update()
    run_signer()
    rest = follower.update()

    found = [json.loads(entry) for entry in first + rest]
    assert (len(first), len(unsigned), len(rest), follower.size) == (300, 0, 260, 560)
    assert [entry["i"] for entry in found] == [str(index) for index in range(560)]
    assert {(entry["log"], entry["type"]) for entry in found} == {
        (log.origin, "interaction.recorded")
    }


def test_a_log_is_followed_over_every_edge_of_its_tiles(tenant, run_signer, follow):
    log = open_log(tenant)
    follower, size = follow(log), 0
    for step in (0, 1, 254, 1, 1, 255, 1, 87, 168):
        grow(log, step)
        size += step
        run_signer()
        assert len(follower.update()) == step
        assert follower.size == size
        late = follow(log)
        assert len(late.update()) == size


def test_a_log_of_three_levels_of_tiles_is_followed(tenant, run_signer, follow):
    log, size = open_log(tenant), 65_536 + 700
    grow(log, size)
    run_signer()
    follower = follow(log)
    assert len(follower.update()) == size
    assert {"tile/1/000", "tile/1/001.p/2", "tile/2/000.p/1", "tile/0/258.p/188"} <= set(
        follower.fetched
    )


def test_a_follower_that_stayed_away_still_gets_the_tiles_of_its_old_checkpoint(
    tenant, run_signer, follow
):
    log = open_log(tenant)
    grow(log, 300)
    run_signer()
    away = follow(log)
    held = away._checkpoint()
    grow(log, 700)
    run_signer()
    away._checkpoint = lambda: held
    assert len(away.update()) == 300
    del away._checkpoint
    assert len(away.update()) == 700


def test_anybody_follows_a_public_log(tenant, run_signer, follow, settings_with):
    log = open_log(tenant)
    grow(log, 513)
    run_signer()
    stranger = follow(log, **{"User-Agent": "somebody's monitor"})
    with pytest.raises(NotServed, match="401"):
        stranger.update()
    settings_with(PUBLIC_LOGS=[log.origin])
    assert len(stranger.update()) == 513


@pytest.fixture
def settings_with(service):
    from django.test import override_settings

    changes = []

    def change(**values):
        changes.append(override_settings(**values))
        changes[-1].enable()

    yield change
    for changed in reversed(changes):
        changed.disable()


@pytest.mark.parametrize(
    ("change", "departure"),
    [
        (
            "UPDATE ledger_entry SET entry = overlay(entry PLACING 'x' FROM 9) WHERE idx = 40",
            "bundle 0",
        ),
        (
            "UPDATE ledger_tile SET hashes = overlay(hashes PLACING sha256(hashes) FROM 33)",
            "level 1",
        ),
        ("UPDATE ledger_entry SET leaf_hash = sha256(leaf_hash) WHERE idx = 299", "root"),
        ("UPDATE ledger_tile SET root = sha256(root)", "level 1"),
        (
            "UPDATE ledger_checkpoint SET note = replace(note, E'\\n300\\n', E'\\n299\\n')",
            "signature",
        ),
        ("DELETE FROM ledger_entry WHERE idx = 270", "503"),
    ],
    ids=["entry", "tile", "leaf hash", "tile above", "checkpoint", "entry away"],
)
def test_a_change_by_the_databases_owner_is_found(
    tenant, run_signer, follow, cluster, change, departure
):
    log = open_log(tenant)
    grow(log, 300)
    run_signer()
    assert len(follow(log).update()) == 300
    where = "AND" if "WHERE" in change else "WHERE"
    with tampering(cluster, tenant.tenant_id) as connection:
        connection.execute(f"{change} {where} log_id = {log.log_id}")
        with pytest.raises(Departure, match=departure):
            follow(log).update()
    assert len(follow(log).update()) == 300


def test_a_log_cut_back_with_its_checkpoints_is_found_by_who_saw_more(
    tenant, run_signer, follow, cluster
):
    log = open_log(tenant)
    grow(log, 300)
    run_signer()
    grow(log, 300)
    run_signer()
    follower = follow(log)
    follower.update()
    with tampering(cluster, tenant.tenant_id) as connection:
        connection.execute(
            "DELETE FROM ledger_checkpoint WHERE log_id = %s AND size = 600", (log.log_id,)
        )
        with pytest.raises(Departure, match="shrank from 600 to 300"):
            follower.update()
