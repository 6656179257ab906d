"""A tenant's own kinds of identifiers: declared once, recorded, the same from then on."""

from __future__ import annotations

import pytest

from tests.integration.ledger.attempts import act_for, not_refused
from tests.integration.vault.people import (
    admin_events,
    identifiers,
    named,
    sent,
    spans_of,
    subjects,
)


@pytest.fixture
def declare(tenant):
    """`declare(kind, normalisation, country)` is the id of the record, or None."""

    def run(kind, normalisation="exact", country=None):
        from auditvault.vault.kinds import KindRule, declare_kind

        return declare_kind(
            region="eu",
            tenant_id=tenant.tenant_id,
            kind=kind,
            rule=KindRule(normalisation, country),
            actor="operator:cli",
        )

    return run


@pytest.mark.parametrize(
    ("normalisation", "first", "second", "are_one"),
    [
        ("exact", "K-1", "k-1", False),
        ("caseless", "K-1", "k-1", True),
        ("caseless", "K-1", "K 1", False),
        ("compact", "DE89 3704", "de89-3704", True),
        ("email", "A@b.example", "a@B.example", True),
        ("phone", "+49 30 901820", "+4930901820", True),
    ],
)
def test_a_declared_kind_names_people_by_its_normalisation(
    client, tenant, cluster, declare, normalisation, first, second, are_one
):
    declare("customer", normalisation)
    ids = sent(client, tenant, named(customer=first)) + sent(client, tenant, named(customer=second))
    assert len(subjects(cluster, tenant)) == (1 if are_one else 2)
    found = spans_of(client, tenant, identifier={"kind": "customer", "value": first})
    assert found == (set(ids) if are_one else {ids[0]})


def test_an_undeclared_kind_names_nobody_and_is_sealed(client, tenant, cluster):
    sent(client, tenant, named(customer="4711"))
    assert [kind for kind, _ in identifiers(cluster, tenant)] == ["trace"]


def test_a_kind_holds_from_its_declaration_on(client, tenant, cluster, declare):
    sent(client, tenant, named(customer="4711"))
    declare("customer")
    (second,) = sent(client, tenant, named(customer="4711"))
    assert spans_of(client, tenant, identifier={"kind": "customer", "value": "4711"}) == {second}


def test_another_tenants_kind_is_not_this_ones(client, tenant, other_tenant, cluster, declare):
    declare("customer")
    sent(client, other_tenant, named(customer="4711"))
    assert [kind for kind, _ in identifiers(cluster, other_tenant)] == ["trace"]


def test_a_user_comes_before_a_kind_of_ones_own(client, tenant, cluster, declare):
    declare("customer")
    sent(client, tenant, named(customer="4711", user="anna"))
    sent(client, tenant, named(customer="4711", user="bert"))
    assert len(subjects(cluster, tenant)) == 2


def test_the_country_of_phone_numbers_is_declared(client, tenant, declare):
    declare("phone", "phone", "DE")
    ids = sent(client, tenant, named(phone="030 901820"))
    ids += sent(client, tenant, named(phone="+49 30 901820"))
    assert spans_of(client, tenant, phone="0049 30 901820") == set(ids)


def test_a_declaration_is_recorded_once(tenant, cluster, declare):
    assert declare("customer", "compact") is not None
    assert declare("customer", "compact") is None
    assert [action for action, _ in admin_events(cluster, tenant)] == ["identifier_kind.declared"]


def test_a_declaration_never_changes(tenant, cluster, declare):
    from auditvault.vault.kinds import IdentifierKindError

    declare("customer", "compact")
    with pytest.raises(IdentifierKindError):
        declare("customer", "exact")
    assert len(admin_events(cluster, tenant)) == 1


def test_the_application_cannot_change_a_declaration(tenant, declare, connect):
    declare("customer")
    app = connect("app")
    act_for(app, tenant.tenant_id)
    changes = [
        "UPDATE vault_identifier_kind SET normalisation = 'caseless'",
        "DELETE FROM vault_identifier_kind",
        "TRUNCATE vault_identifier_kind",
    ]
    assert not_refused(app, changes) == {}


@pytest.mark.parametrize(
    ("kind", "normalisation", "country"),
    [
        ("user", "exact", None),
        ("session", "exact", None),
        ("trace", "exact", None),
        ("email", "email", None),
        ("phone", "exact", None),
        ("Customer", "exact", None),
        ("_customer", "exact", None),
        ("c" * 32, "exact", None),
        ("anna@example.org", "exact", None),
        ("customer", "soundex", None),
        ("customer", "exact", "DE"),
        ("phone", "phone", "ZZ"),
        ("phone", "phone", "de"),
    ],
)
def test_what_cannot_be_declared_is_refused_and_not_repeated(
    tenant, cluster, declare, kind, normalisation, country
):
    from auditvault.vault.kinds import IdentifierKindError

    with pytest.raises(IdentifierKindError) as caught:
        declare(kind, normalisation, country)
    assert "anna" not in caught.value.message
    assert admin_events(cluster, tenant) == []
