"""A hold and an erasure that are fired together come in one order, and neither half."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from auditvault.core.policy.holds import SubjectScope
from tests.integration.ingest.sending import chat, record
from tests.integration.ledger.superuser import superuser
from tests.integration.privacy.holding import notes
from tests.integration.vault.erasing import NOTHING, erase, left, state_of

ROUNDS = 25


def test_a_hold_and_an_erasure_at_once_come_in_one_order(client, tenant, cluster, lawyers):
    from django.db import connections

    from auditvault.vault.shred import KeysHeldError

    record(client, tenant, *(chat(f"n{n}", user=f"user-{n}") for n in range(ROUNDS)))
    barrier = Barrier(2)

    def together(act):
        try:
            barrier.wait(10)
            return act()
        except KeysHeldError as error:
            return error
        finally:
            connections.close_all()

    orders = []
    with ThreadPoolExecutor(2) as pool:
        for subject in subjects(cluster, tenant):
            before = left(cluster, tenant, subject)
            scope = SubjectScope(subject_ids=frozenset({subject}))
            placing = pool.submit(together, lambda scope=scope: lawyers.place(scope))
            erasing = pool.submit(together, lambda subject=subject: erase(tenant, subject))
            placed, erased = placing.result(60), erasing.result(60)
            if isinstance(erased, KeysHeldError):
                assert erased.references == {placed.hold_id}
                assert placed.already_erased == 0
                assert left(cluster, tenant, subject) == before
                assert state_of(cluster, tenant, subject) == "active"
                orders.append("hold")
            else:
                assert placed.already_erased == 1
                assert left(cluster, tenant, subject) == NOTHING
                orders.append("erasure")
    assert notes(cluster, tenant) == orders.count("erasure")
    assert len(orders) == ROUNDS


def subjects(cluster, tenant):
    with superuser(cluster, "region_eu") as connection:
        return [
            row[0]
            for row in connection.execute(
                "SELECT subject_id FROM vault_identifier WHERE tenant_id = %s AND kind = 'user'",
                (tenant.tenant_id,),
            )
        ]
