"""A turn that ends in the middle, at each act, before and after it: everything opens, and the next one finishes it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.vault_epochs.acts import ACTS, MadeToFailError, arrange, stopping

ROOT = Path(__file__).resolve().parents[3]
ENTRIES = ("key.epoch_started", "key.epoch_turned", "key.destroyed")
every_act = pytest.mark.parametrize("act", ACTS)
either_side = pytest.mark.parametrize("when", ["before", "after"])


class Watched:
    """Keys and a tag of a tenant, and whether they are still what they were."""

    def __init__(self, keys, tenant):
        from auditvault.vault.services import lookup_tag

        self._keys, self._tenant_id, self._tag_of = keys, tenant.tenant_id, lookup_tag
        keys.make(tenant.tenant_id, 3)
        self._tag = self._lookup_tag()
        self._boxes = {key_id: self._key(key_id).wrap(b"s" * 32, b"x") for key_id in keys.wraps()}

    def opens(self):
        self._keys.forget()
        assert self._lookup_tag() == self._tag
        assert self._boxes.keys() <= self._keys.wraps().keys()
        for key_id, box in self._boxes.items():
            assert self._key(key_id).unwrap(box, b"x") == b"s" * 32

    def goes_on(self):
        """New keys can be made."""
        self._keys.make(self._tenant_id, 1)

    def _key(self, key_id):
        from auditvault.vault.keyring.services import keyring

        return keyring("us").key_to_open(self._tenant_id, key_id)

    def _lookup_tag(self):
        return self._tag_of(region="us", tenant_id=self._tenant_id, content_sha256=bytes(32))


def finished(keys):
    """What must be so once the next turn is through."""
    turn = keys.turn()
    assert (turn.to_epoch, turn.state, turn.tag_secrets) == (2, "done", 1)
    assert keys.epochs() == [2]
    assert {epoch for epoch, _ in keys.wraps().values()} == {2}
    assert keys.rows("SELECT epoch FROM keyring_tenant_key") == [(2,)]
    assert [action for action, _ in keys.entries(*ENTRIES)] == list(ENTRIES)
    assert sorted(path.name for path in keys.root_key.parent.iterdir()) == [
        "root_key.destroyed",
        "root_key.e2",
    ]


@every_act
@either_side
def test_a_turn_that_fails_there_is_finished_by_the_next(keys, tenant, monkeypatch, act, when):
    def fail():
        raise MadeToFailError

    watched = Watched(keys, tenant)
    with monkeypatch.context() as patched:
        arrange(patched.setattr, stopping(act, when, fail))
        with pytest.raises(MadeToFailError):
            keys.turn()
    watched.opens()
    watched.goes_on()
    if (act, when) == ("finish_turn", "after"):
        assert keys.rows("SELECT to_epoch, state FROM keyring_turn") == [(2, "done")]
        return
    finished(keys)
    watched.opens()


@every_act
def test_a_process_that_is_killed_there_leaves_a_turn_that_the_next_finishes(keys, tenant, act):
    watched = Watched(keys, tenant)
    died = subprocess.run(
        [sys.executable, "-m", "tests.integration.vault_epochs.acts", act, "after"],
        env=keys.environment() | {"PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
    watched.opens()
    if act == "finish_turn":
        assert keys.rows("SELECT to_epoch, state FROM keyring_turn") == [(2, "done")]
        return
    finished(keys)
    watched.opens()


def test_two_who_turn_at_once_turn_once_or_one_after_the_other(keys, tenant):
    from concurrent.futures import ThreadPoolExecutor

    from django.db import connections

    from auditvault.vault import epochs

    watched = Watched(keys, tenant)

    def turn(_):
        try:
            return epochs.turn("us")
        finally:
            connections.close_all()

    keys.forget()
    with ThreadPoolExecutor(2) as pool:
        turns = list(pool.map(turn, range(2)))
    assert {found.state for found in turns} == {"done"}
    assert len(keys.epochs()) == 1
    watched.opens()
