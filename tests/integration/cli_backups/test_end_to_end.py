"""Recorded, backed up, lost, restored, answered for, read again."""

from __future__ import annotations

import json


def drop_databases(site):
    with site.admin.session() as server:
        for name in ("region_eu", "keys_eu"):
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def verify(site):
    done = site.run("operator", "-m", "auditvault.cli.main", "verify", "--json")
    return done.code, json.loads(done.out)


def test_a_region_that_was_lost_comes_back_without_what_was_erased(own_site):
    site = own_site
    site.record("lost", "kept one", "erased two")
    site.sign()
    backup = site.back_up()
    site.record("lost", "lost three")
    site.erase("lost", "erased two")
    site.sign()
    drop_databases(site)

    done = site.command("restore", "--region", "eu", "--from", str(backup), "--json")

    assert done.code == 0, done.out + done.err
    assert [one["kept_as"] for one in done.json["databases"]] == [None, None]
    assert (2, 3) in [(log["size"], log["remembered"]) for log in done.json["behind"]]
    assert site.resolve("lost", "kept one") == [[503, []]]
    assert replay(site)["came_back"]["objects"] == 1
    code, answer = verify(site)
    assert (code, answer["database"]) == (1, [])
    found = {tuple(log["first_bad"]) for log in answer["logs"] if log["kind"] == "interactions"}
    assert found == {("rollback",)}
    go_on(site)
    assert site.resolve("lost", "kept one", "erased two", "lost three") == [
        [200, ["kept one"]],
        [404, []],
        [404, []],
    ]
    site.record("lost", "new four")
    site.sign()
    code, answer = verify(site)
    assert (code, answer["database"]) == (0, [])
    assert site.resolve("lost", "new four") == [[200, ["new four"]]]


def replay(site):
    done = site.run(
        "operator", "-m", "auditvault.cli.main", "replay-erasures", "--region", "eu", "--json"
    )
    assert done.code == 0, done.out + done.err
    return done.json


def go_on(site):
    done = site.run(
        "operator", "-m", "auditvault.cli.main", "restored", "--region", "eu", "--case", "T-1"
    )
    assert done.code == 0, done.err
    site.sign()


def test_what_is_there_is_refused_or_kept(own_site):
    site = own_site
    site.record("there", "old one")
    site.sign()
    backup = site.back_up()
    site.record("there", "new two")

    refused = site.command("restore", "--region", "eu", "--from", str(backup), "--json")
    done = site.command("restore", "--region", "eu", "--from", str(backup), "--replace", "--json")

    assert (refused.code, refused.json["error"]) == (2, "restore_not_empty")
    assert done.code == 0, done.out + done.err
    kept = [one["kept_as"] for one in done.json["databases"]]
    assert set(kept) <= site.databases()
    with site.admin.other(kept[0]).session() as connection:
        row = connection.execute("SELECT count(*) FROM traces_header").fetchone()
    assert row == (2,)
    assert site.databases() >= {"region_eu", "keys_eu"}
    assert not {name for name in site.databases() if name.endswith("_restoring")}
    # Nothing was erased since: the mark alone keeps it closed until somebody has gone through the ledger.
    assert site.resolve("there", "old one") == [[503, []]]
