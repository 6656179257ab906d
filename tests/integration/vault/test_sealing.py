"""What is stored is ciphertext bound to its place; what is shared is shared within one tenant and nobody else."""

from __future__ import annotations

import base64

import pytest

from tests.integration.ingest.sending import chat, headers_of, record
from tests.integration.ledger.superuser import superuser
from tests.integration.vault.looking import forget_keys, resolve, revealed

CANARY = "Canary-7f3a2b"
DATABASES = ("auditvault_control", "region_eu", "region_us", "keys_eu", "keys_us")


def canary_span():
    """A span with the canary in every slot that a sender can fill."""
    attributes = {
        "gen_ai.output.messages": f"{CANARY} said the model",
        "gen_ai.tool.definitions": f"{CANARY} is a tool",
        "gen_ai.tool.call.arguments": f"{CANARY} of the call",
        "gen_ai.tool.call.result": f"{CANARY} came back",
        "something.unknown": f"{CANARY} unknown",
        f"{CANARY} as a key": True,
        "enduser.id": f"{CANARY}@example.org",
        "client.address": f"{CANARY}.example.org",
        "exception.message": f"{CANARY} went wrong",
        "gen_ai.prompt.variable.name": f"{CANARY} variable",
        "service.name": f"{CANARY} is (not) a name!",
    }
    span = chat(
        f"{CANARY} asked the person",
        user=f"{CANARY} the person",
        session=f"{CANARY} the session",
        system=f"{CANARY} the system",
        attributes=attributes,
        name=f"{CANARY} (the name?)",
        trace_state=f"vendor={CANARY}",
    )
    span.status.message = f"{CANARY} the status"
    event = span.events.add(name=f"{CANARY} the event")
    event.attributes.add(key="exception.message").value.string_value = f"{CANARY} was raised"
    link = span.links.add(trace_id=bytes(range(16)), span_id=bytes(range(8)))
    link.attributes.add(key="why").value.string_value = f"{CANARY} linked"
    return span


def dump(cluster, database):
    """Every row of every table in the server's text form."""
    with superuser(cluster, database) as connection:
        tables = connection.execute(
            "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'p')"
            " AND NOT relispartition AND relpersistence <> 't' AND relnamespace NOT IN"
            " ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)"
        ).fetchall()
        for (table,) in tables:
            with connection.cursor().copy(f"COPY (SELECT * FROM {table}) TO STDOUT") as copy:
                yield table, b"".join(bytes(part) for part in copy)


@pytest.mark.parametrize("database", DATABASES)
def test_a_canary_in_every_slot_is_in_no_column_of_any_table(client, tenant, cluster, database):
    record(client, tenant, canary_span())
    assert revealed(resolve(client, tenant, f"{CANARY} asked the person"))
    headers_of(client, tenant, user=f"{CANARY} the person", session=f"{CANARY} the session")
    raw = CANARY.encode()
    wanted = [raw.lower(), raw.hex().encode(), base64.b64encode(raw)[:-4].lower()]
    found = {
        table for table, rows in dump(cluster, database) if any(w in rows.lower() for w in wanted)
    }
    assert found == set()


@pytest.fixture
def rows(cluster, tenant):
    """`rows()` are the tenant's sealed objects: subject and role."""

    def read():
        with superuser(cluster, "region_eu") as connection:
            return connection.execute(
                "SELECT subject_id, role FROM vault_object WHERE tenant_id = %s",
                (tenant.tenant_id,),
            ).fetchall()

    return read


def test_a_system_prompt_is_stored_once_over_many_spans_and_requests(
    client, tenant, rows, monkeypatch
):
    record(client, tenant, *[chat(f"{n}", system="Be brief.") for n in range(5)])
    forget_keys(monkeypatch)
    record(client, tenant, *[chat(f"{n}", system="Be brief.", user="anna") for n in range(5)])
    assert [role for _, role in rows()].count("system_instructions") == 1


def test_every_record_commits_to_the_shared_content(client, tenant):
    record(client, tenant, *[chat(f"{n}", system="Be brief.") for n in range(3)])
    said = [
        (content["object"], content["commitment"])
        for header in headers_of(client, tenant)
        for content in header["contents"]
        if content["role"] == "system_instructions"
    ]
    assert len(said) == 3
    assert len(set(said)) == 1


def test_one_object_in_two_roles_is_committed_to_in_each(client, tenant, rows):
    tools = {"gen_ai.tool.definitions": "Be brief."}
    record(client, tenant, *[chat(f"{n}", system="Be brief.", attributes=tools) for n in range(2)])
    said = {
        (content["role"], content["object"], content["commitment"])
        for header in headers_of(client, tenant)
        for content in header["contents"]
        if content["role"] in {"system_instructions", "tool_definitions"}
    }
    assert {role for role, _, _ in said} == {"system_instructions", "tool_definitions"}
    assert len({stored for _, stored, _ in said}) == 1
    assert len({commitment for _, _, commitment in said}) == 2


def test_an_equal_prompt_of_two_people_is_stored_twice(client, tenant, rows):
    record(client, tenant, chat("same", user="anna"), chat("same", user="bert"))
    assert len({subject for subject, role in rows() if role == "input_messages"}) == 2


def test_an_equal_prompt_of_one_person_in_one_request_is_stored_once(client, tenant, rows):
    record(client, tenant, chat("same", user="anna"), chat("same", user="anna"))
    assert [role for _, role in rows()].count("input_messages") == 1


def test_a_persons_words_that_equal_the_system_prompt_are_stored_apart(client, tenant, rows):
    record(client, tenant, chat("Be brief.", user="anna", system="Be brief."))
    assert len({subject for subject, _ in rows()}) == 2


def test_an_equal_system_prompt_of_two_tenants_is_stored_for_each(
    client, tenant, other_tenant, rows
):
    record(client, tenant, chat("a", system="Be brief."))
    record(client, other_tenant, chat("a", system="Be brief."))
    assert [role for _, role in rows()].count("system_instructions") == 1
    assert revealed(resolve(client, other_tenant, "Be brief.")) == ["Be brief."]


def test_equal_contents_have_different_tags_in_different_tenants(
    client, tenant, other_tenant, cluster
):
    record(client, tenant, chat("same"))
    record(client, other_tenant, chat("same"))
    with superuser(cluster, "region_eu") as connection:
        tags = connection.execute(
            "SELECT tag FROM vault_object WHERE tenant_id = ANY(%s) AND role = 'input_messages'",
            ([tenant.tenant_id, other_tenant.tenant_id],),
        ).fetchall()
    assert len(set(tags)) == 2


def prompts(cluster, *tenants):
    """Object ids of the tenants' prompts."""
    with superuser(cluster, "region_eu") as connection:
        rows = connection.execute(
            "SELECT object_id FROM vault_object WHERE tenant_id = ANY(%s)"
            " AND role = 'input_messages' ORDER BY object_id",
            ([tenant.tenant_id for tenant in tenants],),
        ).fetchall()
    return [row[0] for row in rows]


def swap(cluster, columns, one, two):
    """Exchange parts of two sealed objects, as whoever owns the database can."""
    names = ", ".join(columns)
    sets = ", ".join(f"{name} = %s" for name in columns)
    with superuser(cluster, "region_eu") as connection:
        parts = [
            connection.execute(
                f"SELECT {names} FROM vault_object WHERE object_id = %s", (object_id,)
            ).fetchone()
            for object_id in (one, two)
        ]
        for object_id, values in zip((two, one), parts, strict=True):
            connection.execute(
                f"UPDATE vault_object SET {sets} WHERE object_id = %s", (*values, object_id)
            )


SWAPS = [
    ("envelope",),
    ("wrapped_cek",),
    ("envelope", "wrapped_cek"),
    ("envelope", "wrapped_cek", "key_id"),
    ("envelope", "wrapped_cek", "key_id", "subject_id"),
    ("key_id",),
]


@pytest.mark.parametrize("columns", SWAPS, ids="+".join)
def test_swapped_parts_of_two_peoples_objects_do_not_open(client, tenant, cluster, columns):
    record(client, tenant, chat("one", user="anna"), chat("two", user="bert"))
    swap(cluster, columns, *prompts(cluster, tenant))
    assert [revealed(resolve(client, tenant, text)) for text in ("one", "two")] == [[], []]


@pytest.mark.parametrize("columns", SWAPS[:3], ids="+".join)
def test_swapped_parts_of_one_persons_objects_do_not_open(client, tenant, cluster, columns):
    record(client, tenant, chat("one", user="anna"), chat("two", user="anna"))
    swap(cluster, columns, *prompts(cluster, tenant))
    assert [revealed(resolve(client, tenant, text)) for text in ("one", "two")] == [[], []]


@pytest.mark.parametrize("columns", SWAPS, ids="+".join)
def test_swapped_parts_of_two_tenants_objects_do_not_open(
    client, tenant, other_tenant, cluster, columns
):
    record(client, tenant, chat("one", user="anna"))
    record(client, other_tenant, chat("two", user="anna"))
    swap(cluster, columns, *prompts(cluster, tenant, other_tenant))
    assert revealed(resolve(client, tenant, "one")) == []
    assert revealed(resolve(client, other_tenant, "two")) == []


def test_an_object_that_was_given_to_another_tenant_is_not_opened(
    client, tenant, other_tenant, cluster
):
    """Even under its own tag, with the other's own object beside it."""
    record(client, tenant, chat("one", user="anna"))
    record(client, other_tenant, chat("other", user="anna"))
    with superuser(cluster, "region_eu") as connection:
        connection.execute(
            "UPDATE vault_object SET tenant_id = %s, tag = (SELECT tag FROM vault_object"
            " WHERE tenant_id = %s AND role = 'input_messages') WHERE tenant_id = %s",
            (other_tenant.tenant_id, other_tenant.tenant_id, tenant.tenant_id),
        )
    assert revealed(resolve(client, other_tenant, "other")) == ["other"]


@pytest.mark.parametrize("column", ["envelope", "wrapped_cek"])
@pytest.mark.parametrize("change", ["set_byte({0}, 40, get_byte({0}, 40) # 1)", "''", "'x'"])
def test_a_damaged_object_does_not_open_and_hides_no_other(client, tenant, cluster, column, change):
    record(client, tenant, chat("same", user="anna"), chat("same", user="bert"))
    with superuser(cluster, "region_eu") as connection:
        connection.execute(
            f"UPDATE vault_object SET {column} = {change.format(column)} WHERE object_id = %s",
            (prompts(cluster, tenant)[0],),
        )
    assert revealed(resolve(client, tenant, "same")) == ["same"]


def test_a_damaged_object_is_named_in_the_service_log_without_its_content(
    client, tenant, cluster, caplog
):
    record(client, tenant, chat("a secret", user="anna"))
    (object_id,) = prompts(cluster, tenant)
    with superuser(cluster, "region_eu") as connection:
        connection.execute(
            "UPDATE vault_object SET envelope = 'x' WHERE object_id = %s", (object_id,)
        )
    resolve(client, tenant, "a secret")
    assert str(object_id) in caplog.text
    assert "a secret" not in caplog.text


@pytest.mark.parametrize("change", ["envelope = 'x'", "wrapped_cek = 'x'", "key_id = object_id"])
def test_a_damaged_system_prompt_holds_no_sender_up(client, tenant, cluster, monkeypatch, change):
    record(client, tenant, chat("one", system="Be brief."))
    with superuser(cluster, "region_eu") as connection:
        connection.execute(
            f"UPDATE vault_object SET {change} WHERE tenant_id = %s"
            " AND role = 'system_instructions'",
            (tenant.tenant_id,),
        )
    forget_keys(monkeypatch)
    record(client, tenant, chat("two", system="Be brief."))
    assert revealed(resolve(client, tenant, "Be brief.")) == ["Be brief."]
