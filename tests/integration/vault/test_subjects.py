"""Whose content it is, and that nothing of theirs is read once they are restricted, erased or without a key."""

from __future__ import annotations

import pytest

from tests.integration.ingest.sending import chat, headers_of, record
from tests.integration.ledger.superuser import superuser
from tests.integration.vault.looking import forget_keys, resolve, revealed


def ids(headers):
    return {header["span_id"] for header in headers}


@pytest.fixture
def subjects(cluster, tenant):
    """`subjects()` is kind -> number of the tenant's subjects."""

    def read():
        with superuser(cluster, "region_eu") as connection:
            rows = connection.execute(
                "SELECT kind, count(*) FROM vault_subject WHERE tenant_id = %s"
                " AND kind <> 'tenant' GROUP BY kind",
                (tenant.tenant_id,),
            ).fetchall()
        return dict(rows)

    return read


def test_a_user_is_one_person_over_many_requests(client, tenant, subjects):
    for n in range(3):
        record(client, tenant, chat(f"{n}", user="anna"))
    assert subjects() == {"person": 1}


def test_a_span_without_a_user_belongs_to_its_session(client, tenant, subjects):
    record(client, tenant, chat("a", session="one"))
    record(client, tenant, chat("b", session="one"))
    assert subjects() == {"session": 1}


def test_a_span_without_a_name_belongs_to_its_trace(client, tenant, subjects):
    trace = chat().trace_id
    record(client, tenant, chat("a", trace_id=trace))
    record(client, tenant, chat("b", trace_id=trace), chat("another"))
    assert subjects() == {"session": 2}


def test_a_span_without_a_user_belongs_to_the_user_of_its_trace(client, tenant, subjects):
    trace = chat().trace_id
    record(client, tenant, chat("a", trace_id=trace), chat("b", trace_id=trace, user="anna"))
    assert subjects() == {"person": 1}


def test_a_session_seen_beside_a_user_is_the_users_from_then_on(client, tenant, subjects):
    record(client, tenant, chat("a", user="anna", session="one"))
    record(client, tenant, chat("b", session="one"))
    assert subjects() == {"person": 1}


def test_what_a_session_said_is_found_under_its_user(client, tenant):
    first, second = chat("a", user="anna", session="one"), chat("b", session="one")
    record(client, tenant, first)
    record(client, tenant, second)
    found = headers_of(client, tenant, user="anna")
    assert ids(found) == {first.span_id.hex(), second.span_id.hex()}


def test_another_users_records_are_not_found(client, tenant):
    anna, bert = chat("a", user="anna"), chat("a", user="bert")
    record(client, tenant, anna, bert)
    assert ids(headers_of(client, tenant, user="bert")) == {bert.span_id.hex()}


def test_a_user_nobody_has_heard_of_has_no_records(client, tenant):
    record(client, tenant, chat("a", user="anna"))
    assert headers_of(client, tenant, user="nobody") == []


def test_a_user_and_a_session_of_the_same_name_are_two(client, tenant, subjects):
    record(client, tenant, chat("a", user="x"))
    record(client, tenant, chat("b", session="x"))
    assert subjects() == {"person": 1, "session": 1}


def test_searching_makes_no_subject(client, tenant, subjects):
    headers_of(client, tenant, user="nobody", session="none")
    assert subjects() == {}


def test_users_of_two_tenants_are_two_people(client, tenant, other_tenant):
    record(client, tenant, chat("a", user="anna"))
    assert headers_of(client, other_tenant, user="anna") == []


@pytest.mark.parametrize(
    "value", ["anna@example.org", "Änna", "x" * 512, "a\x00b", "\u2028", " anna ", "\t"]
)
def test_any_text_names_a_person(client, tenant, subjects, value):
    record(client, tenant, chat("a", user=value))
    record(client, tenant, chat("b", user=value))
    assert subjects() == {"person": 1}


@pytest.mark.parametrize("value", ["anna@example.org", "Änna", "x" * 512, " anna ", "anna"])
def test_a_person_is_found_under_exactly_their_name(client, tenant, value):
    span = chat("a", user=value)
    record(client, tenant, span, chat("b", user="somebody else"), chat("c", user="ann"))
    assert ids(headers_of(client, tenant, user=value)) == {span.span_id.hex()}


@pytest.fixture
def set_state(cluster, tenant):
    def change(state):
        with superuser(cluster, "region_eu") as connection:
            connection.execute(
                "UPDATE vault_subject SET state = %s WHERE tenant_id = %s AND kind = 'person'",
                (state, tenant.tenant_id),
            )

    return change


@pytest.mark.parametrize("state", ["restricted", "erasing", "erased"])
def test_a_person_who_is_not_active_is_not_read_from_then_on(client, tenant, set_state, state):
    record(client, tenant, chat("a secret", user="anna"))
    assert revealed(resolve(client, tenant, "a secret")) == ["a secret"]
    set_state(state)
    assert revealed(resolve(client, tenant, "a secret")) == []


def test_one_persons_erasure_hides_nobody_else(client, tenant, set_state):
    record(client, tenant, chat("same", user="anna"))
    set_state("erased")
    record(client, tenant, chat("same", user="bert"))
    assert revealed(resolve(client, tenant, "same")) == ["same"]


def test_a_restriction_that_is_lifted_lets_the_person_be_read_again(client, tenant, set_state):
    record(client, tenant, chat("a secret", user="anna"))
    set_state("restricted")
    set_state("active")
    assert revealed(resolve(client, tenant, "a secret")) == ["a secret"]


def test_the_look_at_somebody_who_cannot_be_read_is_recorded(client, tenant, set_state, cluster):
    record(client, tenant, chat("a secret", user="anna"))
    set_state("erased")
    resolve(client, tenant, "a secret")
    with superuser(cluster, "region_eu") as connection:
        found = connection.execute(
            "SELECT action, outcome FROM access_event WHERE tenant_id = %s", (tenant.tenant_id,)
        ).fetchall()
    assert found == [("resolve", "granted")]


@pytest.fixture
def drop_keys(cluster, tenant, monkeypatch):
    """Destroys every data key of the tenant, and lets the process's cached copies expire."""

    def drop():
        with superuser(cluster, "keys_eu") as connection:
            connection.execute(
                "DELETE FROM keyring_subject_key WHERE tenant_id = %s", (tenant.tenant_id,)
            )
        forget_keys(monkeypatch)

    return drop


def test_content_whose_key_is_gone_is_not_read(client, tenant, drop_keys):
    record(client, tenant, chat("a secret", user="anna"))
    drop_keys()
    assert revealed(resolve(client, tenant, "a secret")) == []


def test_new_content_of_a_person_whose_key_is_gone_gets_a_new_one(client, tenant, drop_keys):
    record(client, tenant, chat("old", user="anna"))
    drop_keys()
    record(client, tenant, chat("new", user="anna"))
    assert revealed(resolve(client, tenant, "new")) == ["new"]
    assert revealed(resolve(client, tenant, "old")) == []


@pytest.fixture
def replace_wraps(cluster, tenant):
    """Gives each key of the tenant another one's wrap; put back, since no epoch of the region ends with such keys."""
    with superuser(cluster, "keys_eu") as connection:

        def replace():
            connection.execute(
                "CREATE TEMP TABLE before AS SELECT key_id, wrapped FROM keyring_subject_key WHERE tenant_id = %s",
                (tenant.tenant_id,),
            )
            connection.execute(
                "UPDATE keyring_subject_key AS a SET wrapped = b.wrapped FROM keyring_subject_key AS b"
                " WHERE a.tenant_id = %s AND b.tenant_id = a.tenant_id AND a.key_id <> b.key_id",
                (tenant.tenant_id,),
            )

        yield replace
        connection.execute(
            "UPDATE keyring_subject_key AS a SET wrapped = before.wrapped FROM before"
            " WHERE a.key_id = before.key_id"
        )


def test_a_key_whose_wrap_was_replaced_opens_nothing(client, tenant, replace_wraps, monkeypatch):
    record(client, tenant, chat("one", user="anna"), chat("two", user="bert"))
    replace_wraps()
    forget_keys(monkeypatch)
    answer = resolve(client, tenant, "one")
    # A keyring that does not unwrap may be a wrong root key: that is for the operator, not "not found".
    assert (answer.status_code, "contents" in answer.json()) == (503, False)


def test_a_wrong_root_key_reveals_nothing_and_records_nothing(
    client, tenant, monkeypatch, tmp_path, cluster
):
    from django.conf import settings

    record(client, tenant, chat("one", user="anna"))
    wrong = tmp_path / "root.key"
    wrong.write_text("ab" * 32)
    wrong.chmod(0o600)
    forget_keys(monkeypatch)
    monkeypatch.setitem(settings.KEY_PROVIDERS, "eu", wrong.as_uri())
    answer = resolve(client, tenant, "one")
    assert (answer.status_code, "contents" in answer.json()) == (503, False)
