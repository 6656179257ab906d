"""Subjects that are one person: found together, split again, and each step in the tenant's admin log."""

from __future__ import annotations

import json
import threading
import time
from functools import partial
from itertools import pairwise
from uuid import uuid4

import pytest

from tests.integration.evidence.verdict import findings
from tests.integration.ingest.sending import chat, record
from tests.integration.ledger.attempts import act_for, not_refused
from tests.integration.ledger.faults import FaultyConnection, Plan
from tests.integration.ledger.outage import drop_connections
from tests.integration.ledger.superuser import superuser
from tests.integration.vault.looking import resolve, revealed
from tests.integration.vault.people import (
    admin_events,
    named,
    own_subject,
    people,
    sent,
    set_state,
    spans_of,
    subjects,
)

CASE = "INC-1"


def merge_in(tenant, one, other, case=CASE):
    from auditvault.vault.merging import merge_subjects

    return merge_subjects(
        region="eu",
        tenant_id=tenant.tenant_id,
        one=one,
        other=other,
        actor="operator:cli",
        case=case,
    )


def split_in(tenant, *leaving, case=CASE):
    from auditvault.vault.merging import split_subjects

    return split_subjects(
        region="eu", tenant_id=tenant.tenant_id, leaving=leaving, actor="operator:cli", case=case
    )


@pytest.fixture
def merge(tenant):
    return partial(merge_in, tenant)


@pytest.fixture
def split(tenant):
    return partial(split_in, tenant)


@pytest.fixture
def three(client, tenant, cluster):
    """Subjects of anna, bert and carl, who each said something."""
    return people(client, tenant, cluster, "anna", "bert", "carl")


@pytest.fixture
def links(tenant, cluster):
    """`links()` is how many rows say who is one person."""

    def read():
        with superuser(cluster, "region_eu") as connection:
            return connection.execute(
                "SELECT count(*) FROM vault_subject_link WHERE tenant_id = %s", (tenant.tenant_id,)
            ).fetchone()[0]

    return read


@pytest.fixture
def group(tenant, service):
    """`group(subject)` is everybody who is one person with it."""

    def read(subject_id):
        from auditvault.ledger.scope import region_alias, tenant_scope
        from auditvault.vault.merging import group_of

        with tenant_scope(region_alias("eu"), tenant.tenant_id) as connection:
            return set(group_of(connection, tenant.tenant_id, subject_id))

    return read


# --- what a merge does -----------------------------------------------------------------------------------


def test_merged_people_are_found_under_each_others_names(client, tenant, three, merge):
    a, b, _ = three
    merge(a, b)
    found = [spans_of(client, tenant, user=user) for user in ("anna", "bert")]
    assert found[0] == found[1]
    assert len(found[0]) == 2
    assert len(spans_of(client, tenant, user="carl")) == 1


def test_a_span_that_comes_later_is_found_too_and_keeps_its_own_subject(
    client, tenant, cluster, three, merge
):
    a, b, _ = three
    merge(a, b)
    (later,) = sent(client, tenant, named("later", user="bert"))
    assert later in spans_of(client, tenant, user="anna")
    assert len(subjects(cluster, tenant)) == 3


def test_a_merge_seals_nothing_anew(client, tenant, cluster, three, merge):
    def sealed():
        with superuser(cluster, "region_eu") as connection:
            return connection.execute(
                "SELECT object_id, subject_id, envelope FROM vault_object WHERE tenant_id = %s"
                " UNION ALL SELECT object_id, subject_id, envelope FROM vault_identifier"
                " WHERE tenant_id = %s ORDER BY 1",
                (tenant.tenant_id, tenant.tenant_id),
            ).fetchall()

    before = sealed()
    merge(*three[:2])
    assert sealed() == before
    assert revealed(resolve(client, tenant, "I am bert")) == ["I am bert"]


def test_a_chain_of_merges_is_one_person(three, merge, group):
    a, b, c = three
    merge(a, b)
    assert set(merge(c, b).group) == group(a) == group(b) == group(c) == set(three)


def test_two_groups_become_one(client, tenant, cluster, merge, group):
    a, b, c, d = people(client, tenant, cluster, "a", "b", "c", "d")
    merge(a, b)
    merge(c, d)
    merge(d, a)
    assert group(b) == {a, b, c, d}


def test_a_child_without_its_root_is_merged_with_the_person(client, tenant, cluster, merge):
    root = chat("root", user="anna")
    (root_id,) = sent(client, tenant, root)
    (child,) = sent(client, tenant, chat("child"))
    merge(*subjects(cluster, tenant))
    assert spans_of(client, tenant, user="anna") == {root_id, child}


def test_a_restriction_of_one_member_is_its_own(client, tenant, cluster, three, merge):
    a, b, _ = three
    merge(a, b)
    set_state(cluster, b, "restricted")
    assert revealed(resolve(client, tenant, "I am bert")) == []
    assert revealed(resolve(client, tenant, "I am anna")) == ["I am anna"]


# --- what a split does -----------------------------------------------------------------------------------


def test_a_split_undoes_a_merge(client, tenant, three, merge, split):
    a, b, _ = three
    before = [spans_of(client, tenant, user=user) for user in ("anna", "bert")]
    merge(a, b)
    split(b)
    assert [spans_of(client, tenant, user=user) for user in ("anna", "bert")] == before


def test_who_leaves_the_middle_of_a_chain_leaves_the_others_together(three, merge, split, group):
    a, b, c = three
    merge(a, b)
    merge(b, c)
    assert set(split(b).group) == {a, c} == group(a)
    assert group(b) == {b}


def test_those_who_leave_together_stay_together(three, merge, split, group):
    a, b, c = three
    merge(a, b)
    merge(b, c)
    split(b, c)
    assert (group(a), group(b)) == ({a}, {b, c})


def test_after_a_split_a_merge_is_possible_again(three, merge, split, group):
    a, b, _ = three
    merge(a, b)
    split(a)
    merge(a, b)
    assert group(a) == {a, b}


# --- what is refused, and what is nothing to do ------------------------------------------------------------


def test_who_is_one_already_is_neither_linked_nor_recorded_again(
    tenant, cluster, three, merge, links
):
    a, b, c = three
    merge(a, b)
    merge(b, c)
    before = links(), len(admin_events(cluster, tenant))
    done = [merge(c, a), merge(b, a), merge(a, a)]
    assert [one.record_id for one in done] == [None] * 3
    assert [set(one.group) for one in done] == [set(three)] * 3
    assert (links(), len(admin_events(cluster, tenant))) == before


def test_a_subject_with_itself_is_nothing_to_do(three, merge, links):
    assert (merge(three[0], three[0]).record_id, links()) == (None, 0)


@pytest.fixture
def refused(tenant, cluster, links):
    """`refused(work)` is the code it was refused with; nothing may have been linked or recorded."""
    from auditvault.core.errors import AuditvaultError

    def run(work, *words, **options):
        before = links(), admin_events(cluster, tenant)
        with pytest.raises(AuditvaultError) as caught:
            work(*words, **options)
        assert (links(), admin_events(cluster, tenant)) == before
        return caught.value.code

    return run


def test_the_tenants_own_subject_is_nobody(tenant, cluster, three, merge, refused):
    own = own_subject(cluster, tenant)
    found = [refused(merge, *pair) for pair in [(three[0], own), (own, three[0]), (own, own)]]
    assert found == ["subject_not_a_person"] * 3


def test_an_unknown_subject_is_refused(three, merge, split, refused):
    a, stranger = three[0], uuid4()
    found = [refused(merge, *pair) for pair in [(a, stranger), (stranger, a), (stranger, stranger)]]
    assert found == ["subject_unknown"] * 3
    assert refused(split, stranger) == "subject_unknown"


def test_another_tenants_subject_is_unknown(
    client, tenant, other_tenant, cluster, three, merge, split, refused
):
    (theirs,) = people(client, other_tenant, cluster, "anna")
    assert refused(merge, three[0], theirs) == "subject_unknown"
    assert refused(split, theirs) == "subject_unknown"


@pytest.mark.parametrize("state", ["restricted", "erasing", "erased"])
@pytest.mark.parametrize("whose", [0, 1], ids=["one", "other"])
def test_a_merge_across_states_is_refused(cluster, three, merge, refused, state, whose):
    set_state(cluster, three[whose], state)
    assert refused(merge, three[0], three[1]) == "subject_state_conflict"


@pytest.mark.parametrize("state", ["restricted", "erasing", "erased"])
def test_a_state_anywhere_in_the_group_counts(cluster, three, merge, refused, state):
    a, b, c = three
    merge(a, b)
    set_state(cluster, b, state)
    assert refused(merge, a, c) == "subject_state_conflict"


@pytest.mark.parametrize("state", ["restricted", "erasing"])
def test_two_in_the_same_state_are_refused_too(cluster, three, merge, refused, state):
    set_state(cluster, three[0], state)
    set_state(cluster, three[1], state)
    assert refused(merge, three[0], three[1]) == "subject_state_conflict"


@pytest.mark.parametrize("state", ["erasing", "erased"])
@pytest.mark.parametrize("whose", [0, 1], ids=["leaves", "stays"])
def test_nobody_leaves_while_the_group_is_erased(
    cluster, three, merge, split, refused, state, whose
):
    a, b, _ = three
    merge(a, b)
    set_state(cluster, three[whose], state)
    assert refused(split, a) == "subject_state_conflict"


def test_a_restricted_member_may_leave_and_stays_restricted(cluster, three, merge, split, group):
    a, b, _ = three
    merge(a, b)
    set_state(cluster, b, "restricted")
    split(b)
    assert group(b) == {b}


def test_only_members_leave_and_somebody_stays(three, merge, split, refused):
    a, b, c = three
    assert refused(split, a) == "subject_group_invalid"
    merge(a, b)
    assert refused(split, a, c) == "subject_group_invalid"
    assert refused(split, a, b) == "subject_group_invalid"


def test_nobody_is_no_split(three, split, refused):
    assert refused(split) == "subject_unknown"


@pytest.mark.parametrize("case", ["", "anna@example.org", "x" * 65, "two words"])
def test_a_case_that_is_no_reference_is_refused(three, merge, split, refused, case):
    assert refused(merge, three[0], three[1], case=case) == "case_invalid"
    assert refused(split, three[0], case=case) == "case_invalid"


def test_a_person_has_a_thousand_subjects_at_most(tenant, cluster, three, merge, refused):
    crowd = uuid4()
    with superuser(cluster, "region_eu") as connection:
        connection.execute(
            "WITH made AS (INSERT INTO vault_subject (tenant_id, subject_id, kind)"
            " SELECT %s, gen_random_uuid(), 'person' FROM generate_series(1, 1000)"
            " RETURNING tenant_id, subject_id)"
            " INSERT INTO vault_subject_link (tenant_id, subject_id, group_id)"
            " SELECT tenant_id, subject_id, %s FROM made",
            (tenant.tenant_id, crowd),
        )
        member = connection.execute(
            "SELECT subject_id FROM vault_subject_link WHERE group_id = %s LIMIT 1", (crowd,)
        ).fetchone()[0]
    assert refused(merge, three[0], member) == "subject_group_invalid"


# --- the record ------------------------------------------------------------------------------------------


def test_each_step_is_in_the_tenants_own_admin_log_and_names_nobody(
    tenant, cluster, three, merge, split
):
    a, b, _ = three
    merged, left = merge(a, b), split(b)
    (first_action, first), (second_action, second) = admin_events(cluster, tenant)
    assert (first_action, second_action) == ("subject.merged", "subject.split")
    said = {"actor": "operator:cli", "case": CASE}
    assert json.loads(first)["details"] == {"one": [str(a)], "other": [str(b)], **said}
    assert json.loads(second)["details"] == {"left": [str(b)], "stayed": [str(a)], **said}
    ids = [json.loads(header)["id"] for header in (first, second)]
    assert ids == [str(merged.record_id), str(left.record_id)]


def test_the_group_is_named_by_its_record(tenant, cluster, three, merge):
    merged = merge(*three[:2])
    with superuser(cluster, "region_eu") as connection:
        rows = connection.execute(
            "SELECT group_id FROM vault_subject_link WHERE tenant_id = %s", (tenant.tenant_id,)
        ).fetchall()
    assert rows == [(merged.record_id,)] * 2


def test_the_admin_log_of_a_tenant_verifies(tenant, three, merge, split, run_signer):
    merge(*three[:2])
    split(three[0])
    run_signer()
    assert findings(tenant, with_memory=False) == {}


def test_a_merge_that_fails_anywhere_leaves_neither_link_nor_record(
    tenant, cluster, three, merge, links, group, monkeypatch
):
    from auditvault.ledger import scope
    from auditvault.ledger.admin.services import admin_log

    admin_log("eu", tenant.tenant_id)  # opened before, so that only the merge itself can fail
    driver_connection, reached = scope.driver_connection, 0
    for how in ("before", "after", "killed before", "killed after"):
        for at in range(1, 100):
            plan = Plan(cluster, at, how)
            with monkeypatch.context() as patch:
                patch.setattr(
                    scope,
                    "driver_connection",
                    lambda wrapper, plan=plan: FaultyConnection(driver_connection(wrapper), plan),
                )
                if not _fails(merge, three):
                    break
            drop_connections()
            reached += plan.happened
            assert (links(), admin_events(cluster, tenant)) == (0, [])
        drop_connections()
        assert at > 5
        assert group(three[0]) == set(three[:2])
        _forget(cluster, tenant)
    assert reached > 20


def _fails(merge, three):
    import psycopg
    from django.db import DatabaseError

    try:
        merge(*three[:2])
    except (DatabaseError, psycopg.Error):
        return True
    return False


def _forget(cluster, tenant):
    """As before the merge: the next way to fail starts anew. The log keeps its entry."""
    with superuser(cluster, "region_eu") as connection:
        connection.execute("SET session_replication_role = replica")
        for table in ("vault_subject_link", "admin_event"):
            connection.execute(f"DELETE FROM {table} WHERE tenant_id = %s", (tenant.tenant_id,))


# --- several at once, and what the database itself refuses ---------------------------------------------------


def wait_for_lock(cluster, kind):
    """Until somebody waits for a lock of that kind in the region."""
    deadline, pause = time.monotonic() + 60, threading.Event()
    with superuser(cluster, "region_eu") as connection:
        while not connection.execute(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()"
            " AND wait_event_type = 'Lock' AND wait_event = %s)",
            (kind,),
        ).fetchone()[0]:
            assert time.monotonic() < deadline
            pause.wait(0.02)


def in_thread(work):
    """Run it beside; `join()` gives what it returned or raised."""
    found = []

    def run():
        from django.db import connections

        try:
            found.append(work())
        except Exception as error:  # noqa: BLE001  # handed to the test
            found.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()

    def join():
        thread.join(120)
        return found[0]

    return join


def held(connection, tenant, statement, values):
    """A transaction of another process that has called a function and not ended yet."""
    act_for(connection, tenant.tenant_id)
    connection.execute("BEGIN")
    return connection.execute(statement, values).fetchone()


MERGE = "SELECT outcome FROM vault_merge_subjects(%s, %s, %s)"


def test_a_to_b_and_b_to_a_at_once_are_one_merge(
    tenant, cluster, three, merge, links, group, connect
):
    a, b, _ = three
    first = connect("app")
    assert held(first, tenant, MERGE, (a, b, uuid4())) == ("merged",)
    join = in_thread(lambda: merge(b, a))
    wait_for_lock(cluster, "advisory")
    first.execute("COMMIT")
    second = join()
    assert (second.record_id, set(second.group)) == (None, {a, b})
    assert (links(), group(a)) == (2, {a, b})


def test_a_merge_whose_rival_gave_up_is_done(tenant, cluster, three, merge, links, connect):
    a, b, _ = three
    first = connect("app")
    held(first, tenant, MERGE, (a, b, uuid4()))
    join = in_thread(lambda: merge(b, a))
    wait_for_lock(cluster, "advisory")
    first.execute("ROLLBACK")
    assert join().record_id is not None
    assert links() == 2


def test_two_merges_at_once_that_meet_in_one_subject_are_one_group(
    tenant, cluster, three, merge, group, connect
):
    a, b, c = three
    first = connect("app")
    held(first, tenant, MERGE, (a, b, uuid4()))
    join = in_thread(lambda: merge(c, b))
    wait_for_lock(cluster, "advisory")
    first.execute("COMMIT")
    assert set(join().group) == group(a) == {a, b, c}


def test_many_merges_at_once_lose_nobody(client, tenant, cluster, group):
    members = people(client, tenant, cluster, *"abcdefgh")
    start = threading.Barrier(4, timeout=60)

    def work(pairs):
        start.wait()
        return [merge_in(tenant, *pair) for pair in pairs]

    pairs = [*pairwise(members), *((b, a) for a, b in pairwise(members))]
    joins = [in_thread(lambda part=pairs[n::4]: work(part)) for n in range(4)]
    assert all(isinstance(join(), list) for join in joins)
    assert {frozenset(group(member)) for member in members} == {frozenset(members)}
    made = [action for action, _ in admin_events(cluster, tenant)]
    assert made == ["subject.merged"] * (len(members) - 1)


def test_a_subject_whose_erasure_has_begun_is_not_merged_however_late_that_is_seen(
    tenant, cluster, three, merge
):
    from auditvault.vault.merging import SubjectStateError

    with superuser(cluster, "region_eu") as eraser:
        eraser.execute("BEGIN")
        eraser.execute(
            "UPDATE vault_subject SET state = 'erasing' WHERE subject_id = %s", (three[1],)
        )
        join = in_thread(lambda: merge(*three[:2]))
        wait_for_lock(cluster, "transactionid")
        eraser.execute("COMMIT")
    assert isinstance(join(), SubjectStateError)


def test_an_erasure_that_locks_the_groups_misses_nobody(
    tenant, cluster, three, merge, connect, group
):
    """A merge that is under way is waited for; the group is asked for afterwards."""
    a, b, _ = three
    merging = connect("app")
    held(merging, tenant, MERGE, (a, b, uuid4()))

    def erase():
        with superuser(cluster, "region_eu") as eraser:
            eraser.execute("BEGIN")
            eraser.execute("SELECT vault_lock_groups(%s)", (tenant.tenant_id,))
            reached = eraser.execute(
                "UPDATE vault_subject SET state = 'erasing' WHERE tenant_id = %s AND subject_id IN"
                " (SELECT vault_subject_group(%s, %s)) RETURNING subject_id",
                (tenant.tenant_id, tenant.tenant_id, a),
            ).fetchall()
            eraser.execute("COMMIT")
            return {row[0] for row in reached}

    join = in_thread(erase)
    wait_for_lock(cluster, "advisory")
    merging.execute("COMMIT")
    assert join() == {a, b}


def test_the_application_cannot_write_a_link_itself(tenant, three, merge, connect):
    merge(*three[:2])
    app = connect("app")
    act_for(app, tenant.tenant_id)
    values = (tenant.tenant_id, three[2], uuid4())
    insert = "INSERT INTO vault_subject_link (tenant_id, subject_id, group_id) VALUES (%s, %s, %s)"
    assert not_refused(app, [insert], values) == {}
    changes = [
        "UPDATE vault_subject_link SET group_id = gen_random_uuid()",
        "DELETE FROM vault_subject_link",
        "TRUNCATE vault_subject_link",
    ]
    assert not_refused(app, changes) == {}


def test_without_a_tenant_the_functions_know_nobody(three, connect):
    app = connect("app")
    act_for(app, None)
    assert app.execute(MERGE, (three[0], three[1], uuid4())).fetchone() == ("unknown",)
    split = "SELECT outcome FROM vault_split_subjects(%s, %s)"
    assert app.execute(split, ([three[0]], uuid4())).fetchone() == ("unknown",)


def test_another_tenants_group_is_not_shown(tenant, other_tenant, three, merge, connect):
    merge(*three[:2])
    app = connect("app")
    act_for(app, other_tenant.tenant_id)
    rows = app.execute(
        "SELECT vault_subject_group(%s, %s)", (tenant.tenant_id, three[0])
    ).fetchall()
    assert rows == [(three[0],)]


def test_a_person_who_is_recorded_meanwhile_is_not_held_up_by_a_merge(
    client, tenant, three, connect
):
    app = connect("app")
    held(app, tenant, MERGE, (three[0], three[1], uuid4()))
    record(client, tenant, named("meanwhile", user="anna", email="new@example.org"))
    app.execute("ROLLBACK")
