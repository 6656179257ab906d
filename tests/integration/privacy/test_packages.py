"""A person gets a copy of what is recorded about them, encrypted, redacted, and by a link that works once."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.erasure import Kind
from tests.integration.access.meeting import together
from tests.integration.ledger.outage import unreachable
from tests.integration.ledger.superuser import superuser
from tests.integration.privacy.copying import BOTH, OTHER, OWN, Copies, data_of, opened, redeem
from tests.integration.privacy.erasing import say

SCHEMA = json.loads(
    (Path(__file__).parents[3] / "docs/spec/subject-package.schema.json").read_text("utf-8")
)
SAID = f"I am {OWN}, please write to {OTHER} <b>today</b>"
CANARY = "canary-7f3a91"


@pytest.fixture
def copies(service, tenant):
    return Copies(tenant)


def refused_with(act):
    with pytest.raises(AuditvaultError) as refused:
        act()
    return refused.value.code


def change(cluster, statement, *values, region="eu"):
    with superuser(cluster, f"region_{region}") as connection:
        return connection.execute(statement, values)


def fetches(cluster, tenant):
    """Outcome of each try, in order."""
    with superuser(cluster, "region_eu") as connection:
        rows = connection.execute(
            "SELECT outcome FROM access_event WHERE tenant_id = %s AND action = 'fetch_package'"
            " ORDER BY record_id",
            (tenant.tenant_id,),
        ).fetchall()
    return [row[0] for row in rows]


def ready(copies, **how):
    """A request whose file is made, and what opens it."""
    request_id = copies.approved(**how)
    passphrase = copies.order(request_id)
    assert copies.made(request_id) == "notifying"
    return request_id, passphrase


@pytest.mark.parametrize("kind", [Kind.ACCESS, Kind.PORTABILITY])
def test_a_request_goes_from_intake_to_a_file_with_what_was_said_and_without_anybody_elses_data(
    client, tenant, cluster, copies, kind
):
    say(client, tenant, SAID, "two")
    say(client, tenant, "of somebody else", user="berta")
    request_id, passphrase = ready(copies, kind=kind)

    file = redeem(copies.link(request_id).code)
    copies.drive(request_id)

    files = opened(cluster, file, passphrase)
    data = data_of(files)
    Draft202012Validator(SCHEMA, format_checker=FormatChecker()).validate(data)
    texts = [each["text"] for each in data["contents"]]
    assert any(OWN in text and "<EMAIL_ADDRESS_1>" in text for text in texts)
    assert any("two" in text for text in texts)
    assert len(data["records"]) == 2
    assert not any(word in body for body in files.values() for word in (OTHER.encode(), b"berta"))
    assert b"&lt;b&gt;today" in files["index.html"]
    assert b"<script" not in files["index.html"]
    said = json.loads(files["manifest.json"])["files"]
    assert {name: sha256(files[name]).hexdigest() for name in said} == said
    assert copies.state(request_id) == "certified"


def test_the_look_that_makes_a_file_is_recorded_before_and_stands_in_it(
    client, tenant, cluster, copies
):
    say(client, tenant, SAID)
    request_id, passphrase = ready(copies)

    data = data_of(opened(cluster, redeem(copies.link(request_id).code), passphrase))

    assert [(look["what"], look["purpose_code"]) for look in data["looks"]] == [("content", "DSAR")]


def test_nothing_is_opened_where_the_look_cannot_be_recorded(
    client, tenant, cluster, copies, monkeypatch
):
    from auditvault.access.events.services import AccessNotRecordedError
    from auditvault.privacy.packages import making

    say(client, tenant, SAID)
    request_id = copies.approved()
    copies.order(request_id)
    copies.drive(request_id)

    def failing(**_named):
        raise AccessNotRecordedError("no log")

    def opening(**_named):
        pytest.fail("opened without a record")

    monkeypatch.setattr(making, "record_act", failing)
    monkeypatch.setattr(making, "open_stored", opening)
    copies.make(request_id)
    copies.drive(request_id)

    assert copies.package(request_id).code == "access_not_recorded"
    assert copies.state(request_id) == "failed_retry"


def test_a_link_works_once_and_every_try_is_recorded(client, tenant, cluster, copies):
    say(client, tenant, SAID)
    request_id, _ = ready(copies)
    code = copies.link(request_id).code
    wrong = code[:-64] + "0" * 64

    codes = [refused_with(partial(redeem, wrong))]
    redeem(code)
    codes += [
        refused_with(partial(redeem, each))
        for each in (code, "eu." + "0" * 32 + "." + "0" * 64, "xx" + code, "", code.upper())
    ]

    assert set(codes) == {"package_not_found"}
    assert fetches(cluster, tenant) == ["denied", "granted", "denied"]


def test_a_link_ends_with_its_time_and_with_the_next_one(client, tenant, cluster, copies):
    say(client, tenant, SAID)
    request_id, _ = ready(copies)
    older, late = copies.link(request_id), copies.link(request_id)

    assert refused_with(lambda: redeem(older.code)) == "package_not_found"
    change(
        cluster,
        "UPDATE privacy_package_link SET expires_at = now() WHERE tenant_id = %s",
        tenant.tenant_id,
    )
    assert refused_with(lambda: redeem(late.code)) == "package_not_found"
    assert copies.package(request_id).delivered_at is None


def test_two_who_bring_one_code_at_once_get_one_file(client, tenant, copies):
    say(client, tenant, SAID)
    request_id, _ = ready(copies)
    code = copies.link(request_id).code

    results = together(partial(redeem, code), partial(redeem, code))

    assert sorted(isinstance(each, AuditvaultError) for each in results) == [False, True]


def test_whoever_may_know_the_passphrase_cannot_make_the_link(client, tenant, copies):
    say(client, tenant, SAID)
    request_id, _ = ready(copies)
    # As if whoever ordered it had got the other role since.
    other = replace(
        copies.credential(copies.operator), human=copies.credential(copies.officer).human
    )

    assert refused_with(partial(copies.link_as, other, request_id)) == "approval_own"
    copies.link(request_id)


def test_a_package_is_ordered_once_and_for_nothing_that_is_not_approved(client, tenant, copies):
    say(client, tenant, SAID)
    early = copies.receive(kind=Kind.ACCESS).request_id
    request_id = copies.approved()
    copies.order(request_id)

    assert refused_with(partial(copies.order, early)) == "privacy_request_move"
    assert refused_with(partial(copies.order, request_id)) == "privacy_request_move"
    assert refused_with(lambda: copies.link(request_id)) == "package_not_ready"


def test_a_restriction_does_not_keep_a_person_from_their_own_data(client, tenant, cluster, copies):
    say(client, tenant, SAID)
    request_id = copies.approved()
    passphrase = copies.order(request_id)
    change(
        cluster,
        "UPDATE vault_subject SET state = 'restricted' WHERE tenant_id = %s AND kind = 'person'",
        tenant.tenant_id,
    )
    copies.made(request_id)

    data = data_of(opened(cluster, redeem(copies.link(request_id).code), passphrase))

    assert [each["left_out"] for each in data["contents"]] == [None]


def test_what_cannot_be_examined_is_held_back(client, tenant, cluster, copies):
    def failing(_content):
        raise RuntimeError("of the recogniser")

    say(client, tenant, SAID)
    request_id = copies.approved()
    passphrase = copies.order(request_id)
    copies.drive(request_id)
    copies.make(request_id, analyse=failing)
    copies.drive(request_id)

    files = opened(cluster, redeem(copies.link(request_id).code), passphrase)

    assert [each["left_out"] for each in data_of(files)["contents"]] == ["not_examined"]
    assert not any(OWN.encode() in body for body in files.values())


def test_a_region_that_is_down_is_waited_for(client, tenant, cluster, copies):
    say(client, tenant, SAID)
    say(client, tenant, "over there", region="us")
    request_id = copies.approved(regions=("us",))
    passphrase = copies.order(request_id)

    with unreachable(cluster, "region_us"):
        copies.drive_quietly(request_id)
        copies.make(request_id, "eu")
        copies.drive_quietly(request_id)
        assert copies.state(request_id) == "executing"
    assert copies.made(request_id, regions=BOTH) == "notifying"
    redeem(copies.link(request_id, "eu").code)
    copies.drive(request_id)
    assert copies.state(request_id) == "notifying"
    there = redeem(copies.link(request_id, "us").code)
    copies.drive(request_id)

    assert copies.state(request_id) == "certified"
    texts = [each["text"] for each in data_of(opened(cluster, there, passphrase))["contents"]]
    assert len(texts) == 1
    assert "over there" in texts[0]


def test_two_workers_make_one_file(client, tenant, copies):
    say(client, tenant, SAID)
    request_id = copies.approved()
    copies.order(request_id)
    copies.drive(request_id)

    results = together(partial(copies.make, request_id), partial(copies.make, request_id))

    assert sorted(results) == [False, True]
    assert copies.package(request_id).tries == 1


@pytest.mark.parametrize("step", ["_made", "_keep"])
def test_a_worker_that_is_killed_leaves_a_file_that_the_next_one_makes(
    client, tenant, cluster, copies, monkeypatch, step
):
    from auditvault.privacy.packages import making

    class Killed(BaseException):
        pass

    def killed(*_arguments):
        raise Killed

    say(client, tenant, SAID)
    request_id = copies.approved()
    copies.order(request_id)
    copies.drive(request_id)
    with monkeypatch.context() as patched:
        patched.setattr(making, step, killed)
        with pytest.raises(Killed):
            copies.make(request_id)

    assert copies.make(request_id) is False
    change(
        cluster,
        "UPDATE privacy_package SET next_try_at = now() WHERE tenant_id = %s",
        tenant.tenant_id,
    )
    assert copies.made(request_id) == "notifying"


@pytest.mark.parametrize(
    "ends",
    [
        "UPDATE privacy_package SET expires_at = now() WHERE tenant_id = %s",
        "UPDATE vault_subject SET state = 'erasing' WHERE tenant_id = %s AND kind = 'person'",
    ],
)
def test_a_file_that_is_over_its_time_or_of_somebody_who_is_erased_is_forgotten(
    client, tenant, cluster, copies, ends
):
    from auditvault.privacy.packages.driving import drive_region

    say(client, tenant, SAID)
    request_id, _ = ready(copies)
    code = copies.link(request_id).code
    change(cluster, ends, tenant.tenant_id)

    drive_region("eu", datetime.now(UTC))

    assert copies.package(request_id).state == "forgotten"
    assert refused_with(lambda: redeem(code)) == "package_not_found"
    assert copies.state(request_id) == "notifying"


def test_what_was_erased_since_it_was_frozen_is_listed_as_erased(client, tenant, cluster, copies):
    say(client, tenant, SAID)
    request_id = copies.approved()
    passphrase = copies.order(request_id)
    state = "UPDATE vault_subject SET state = %s WHERE tenant_id = %s AND kind = 'person'"
    change(cluster, state, "erasing", tenant.tenant_id)
    assert copies.made(request_id) == "notifying"

    data = data_of(opened(cluster, redeem(copies.link(request_id).code), passphrase))

    assert [(each["text"], each["left_out"]) for each in data["contents"]] == [(None, "erased")]


def test_a_row_by_itself_orders_nothing(client, tenant, cluster, copies, monkeypatch):
    from auditvault.privacy.packages import making

    def opening(**_named):
        pytest.fail("opened though nobody ordered it")

    say(client, tenant, SAID)
    request_id = copies.approved()
    change(
        cluster,
        "INSERT INTO privacy_package (tenant_id, request_id, home, manifest, ordered_by)"
        " SELECT tenant_id, request_id, 'eu', approved_manifest, approved_by FROM privacy_request"
        " WHERE request_id = %s",
        request_id,
    )
    monkeypatch.setattr(making, "open_stored", opening)

    copies.make(request_id)

    found = copies.package(request_id)
    assert (found.state, found.code) == ("failed", "package_not_ordered")


def test_nothing_of_a_content_lies_in_the_tables_of_packages(client, tenant, cluster, copies):
    say(client, tenant, CANARY)
    request_id, passphrase = ready(copies)
    copies.link(request_id)

    with superuser(cluster, "region_eu") as connection:
        rows = connection.execute(
            "SELECT p::text || o::text || encode(p.body, 'escape') FROM privacy_package AS p"
            " JOIN privacy_package_order AS o USING (tenant_id, request_id) WHERE p.tenant_id = %s",
            (tenant.tenant_id,),
        ).fetchall()

    assert len(rows) == 1
    assert CANARY not in rows[0][0]
    assert CANARY.encode().hex() not in rows[0][0]
    assert passphrase not in rows[0][0]
