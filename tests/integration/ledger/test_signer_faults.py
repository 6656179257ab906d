"""Whatever fails while checkpoints are signed and keys change, the next pass goes on, and every log verifies."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from functools import partial

import psycopg
import pytest

from tests.integration.ledger.faults import FaultyConnection, Plan
from tests.integration.ledger.outage import drop_connections
from tests.integration.ledger.rotation import alarms

LOOKS = 5
FAULTS = {
    "the state is not saved": ("state", "before"),
    "the state is saved and that is not known": ("state", "after"),
    "nothing is inserted": ("insert", "before"),
    "a checkpoint is inserted and that is not known": ("insert", "after"),
    "the connection is lost before the insert": ("insert", "killed before"),
    "the connection is lost after the insert": ("insert", "killed after"),
}
every_fault = pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)


class Inserts:
    """The signer's connection: only its inserts go through the plan."""

    def __init__(self, connection, plan):
        self._connection, self._plan = connection, plan

    def __getattr__(self, name):
        return getattr(self._connection, name)

    def execute(self, statement, *words, **options):
        def run():
            return self._connection.execute(statement, *words, **options)

        if statement.startswith("INSERT"):
            return self._plan.run(self._connection, run)
        return run()


@pytest.fixture
def failing(cluster, monkeypatch):
    """`with failing(fault) as plan:` one save or one insert of the signer fails."""
    from auditvault.cli.management.commands import signer
    from auditvault.ledger import signer_state

    replace, driver_connection = signer_state.replace_file, signer.driver_connection

    @contextmanager
    def arm(fault):
        what, how = fault
        plan = Plan(cluster, 1, how)

        def save(path, content):
            plan.seen += 1
            if plan.seen > 1:
                return replace(path, content)
            if how == "after":
                replace(path, content)
            raise OSError(errno.EIO, "made to fail")

        with monkeypatch.context() as patch:
            if what == "state":
                patch.setattr(signer_state, "replace_file", save)
            else:
                patch.setattr(
                    signer,
                    "driver_connection",
                    lambda wrapper: Inserts(driver_connection(wrapper), plan),
                )
            yield plan
        drop_connections()

    return arm


def look(rig, failing, fault):
    """A pass in which something fails, and the next one."""
    with failing(fault) as plan:
        rig.look()
        assert plan.happened
    rig.look()


@every_fault
def test_a_pass_that_fails_is_made_good_by_the_next(rig, failing, fault):
    rig.open_log()
    look(rig, failing, fault)
    rig.happen()
    look(rig, failing, fault)
    assert {size for size, _ in rig.signers()} == {1, 2}
    assert rig.findings() == {}


@every_fault
def test_nothing_is_given_out_that_the_memory_does_not_have(rig, failing, fault):
    with failing(fault):
        rig.look()
    published = [note for _, note in rig.notes()]
    remembered = rig.state.read_text() if rig.state.exists() else ""
    assert all(note.splitlines()[-1].split()[-1] in remembered for note in published)


@pytest.mark.parametrize("at", range(LOOKS))
@every_fault
def test_a_rotation_goes_on_after_a_fault_in_any_of_its_passes(rig, failing, fault, at):
    def looked():
        for number in range(LOOKS):
            yield look(rig, failing, fault) if number == at else rig.look()

    looks = looked()
    next(looks)
    old = rig.vkeys.read_text().splitlines()[0]
    new = rig.make("new")
    rig.hold("old", "new")
    rig.announce(new)
    next(looks)
    next(looks)
    rig.retire(old)
    next(looks)
    next(looks)
    found = rig.signers()
    first, last = found.index((2, ["old", "new"])), [names for _, names in found].index(["new"])
    assert (2, ["old"]) in found[:first]  # what announces the key was covered without it
    assert (3, ["old", "new"]) in found[first:last]  # what retires the key was covered with it
    assert all(names == ["new"] for _, names in found[last:])
    assert (rig.events(), rig.findings()) == (["new announced", "old retired"], {})


@pytest.mark.parametrize("how", ["before", "after"])
def test_a_running_signer_that_cannot_remember_a_key_reads_of_it_again(rig, failing, how):
    from auditvault.ledger.signer_state import SignerStateUnwritableError

    new = rig.make("new")
    rig.hold("old", "new")
    rig.announce(new)
    with rig.running() as look_again:
        look_again()
        with failing(("state", how)), pytest.raises(SignerStateUnwritableError):
            look_again()
        look_again()
    assert (rig.newest(), rig.findings()) == (["old", "new"], {})


def test_a_running_signer_stops_with_a_key_that_ends(rig):
    old, new = rig.vkeys.read_text().splitlines()[0], rig.make("new")
    rig.hold("old", "new")
    rig.announce(new)
    with rig.running() as look_again:
        for _ in range(2):
            look_again()
        rig.retire(old)
        for _ in range(2):
            look_again()
    assert rig.newest() == ["new"]


@pytest.mark.parametrize("how", ["before", "after", "killed before", "killed after"])
def test_an_announcement_that_fails_at_any_statement_is_made_good_by_the_same_command(
    rig, cluster, monkeypatch, how
):
    from django.core.management.base import CommandError

    from auditvault.ledger import scope

    driver_connection = scope.driver_connection
    new, statements, messages = rig.make("new"), 0, set()
    while True:
        plan = Plan(cluster, statements + 1, how)
        with monkeypatch.context() as patch:
            patch.setattr(scope, "driver_connection", partial(faulty, driver_connection, plan))
            try:
                rig.announce(new)
            except CommandError as error:
                messages.add(str(error))
        drop_connections()
        if not plan.happened:
            break
        assert rig.events() == []
        statements += 1
    assert statements > 5
    assert all("same command again" in message for message in messages)
    assert (rig.events(), len(rig.vkeys.read_text().splitlines())) == (["new announced"], 2)


def faulty(driver_connection, plan, wrapper):
    raw = driver_connection(wrapper)
    return FaultyConnection(raw, plan) if wrapper.alias == "region_us" else raw


def test_an_announcement_whose_commit_is_not_known_is_not_made_twice(rig, monkeypatch):
    from django.core.management.base import CommandError
    from django.db.backends.base.base import BaseDatabaseWrapper

    commit, lost = BaseDatabaseWrapper._commit, []

    def lose_the_answer(self):
        commit(self)
        if not lost and rig.announcements():
            lost.append(self.alias)
            raise psycopg.OperationalError("made to fail")

    new = rig.make("new")
    with monkeypatch.context() as patch:
        patch.setattr(BaseDatabaseWrapper, "_commit", lose_the_answer)
        with pytest.raises(CommandError):
            rig.announce(new)
    assert rig.announce(new) == "us: was announced before\n"
    assert (lost, rig.events()) == (["region_us"], ["new announced"])


# --- the state file ----------------------------------------------------------------------------------------


def test_a_second_signer_on_one_state_file_does_not_start(rig):
    from django.core.management.base import CommandError

    from auditvault.ledger.signer_state import SignerState

    with SignerState.for_signing(rig.state), pytest.raises(CommandError, match="Another signer"):
        rig.look()
    rig.look()
    assert rig.signers() == [(1, ["old"])]


def test_a_running_signers_state_can_be_read(rig):
    from auditvault.ledger.signer_state import SignerState

    rig.look()
    with SignerState.for_signing(rig.state):
        assert rig.findings() == {}


def test_a_full_disk_is_waited_out(rig, caplog):
    rig.look()
    rig.happen()
    before = rig.state.read_bytes()
    rig.state.with_name(f"{rig.state.name}.part").symlink_to("/dev/full")
    rig.look()
    assert (rig.signers(), rig.state.read_bytes()) == ([(1, ["old"])], before)
    assert ["No space left" in alarm for alarm in alarms(caplog)] == [True]
    rig.look()
    assert (rig.signers(), rig.findings()) == ([(1, ["old"]), (2, ["old"])], {})


@pytest.mark.parametrize("kept", [0, 0.5, 0.99])
def test_a_state_file_that_was_cut_short_stops_the_signer(rig, kept):
    from django.core.management.base import CommandError

    rig.look()
    rig.happen()
    content = rig.state.read_bytes()
    rig.state.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(CommandError, match="Restore it"):
        rig.look()
    assert rig.signers() == [(1, ["old"])]
    rig.state.write_bytes(content)
    rig.look()
    assert (rig.signers()[1:], rig.findings()) == ([(2, ["old"])], {})
