"""An erasure that was cut off at any step finishes, and nothing is half readable meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from uuid import uuid4

import pytest

from tests.integration.ingest.sending import chat, headers_of, record
from tests.integration.vault.erasing import (
    NOTHING,
    CutOffError,
    erase,
    finish_all,
    heads,
    left,
    records,
    state_of,
    subject_of,
)
from tests.integration.vault.looking import resolve, revealed

STEPS = ["bar_keys", "hide", "_write_record", "destroy_keys", "erase_rows", "finish"]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_an_erasure_that_was_cut_off_finishes_when_asked_again(
    client, tenant, cluster, anna, cut_off, step, when
):
    reference, size = uuid4(), len(records())
    cut_off(step, when)
    with pytest.raises(CutOffError):
        erase(tenant, anna, reference=reference)
    erase(tenant, anna, reference=reference)
    assert left(cluster, tenant, anna) == NOTHING
    assert state_of(cluster, tenant, anna) == "erased"
    assert (len(records()), len(heads(cluster))) == (size + 1, 1)


HIDDEN = [(step, when) for step in STEPS for when in ("before", "after")][3:]


@pytest.mark.parametrize(("step", "when"), HIDDEN)
def test_from_the_first_hidden_step_on_a_crash_leaves_nothing_readable_and_others_readable(
    client, tenant, cluster, anna, cut_off, step, when
):
    record(client, tenant, chat("of another", user="bert"))
    cut_off(step, when)
    with pytest.raises(CutOffError):
        erase(tenant, anna)
    try:
        assert revealed(resolve(client, tenant, "a")) == []
        assert headers_of(client, tenant, user="anna") == []
        assert revealed(resolve(client, tenant, "of another")) == ["of another"]
        record(client, tenant, chat("new", user="anna"))
        assert revealed(resolve(client, tenant, "new")) == ["new"]
    finally:
        finish_all()
    assert left(cluster, tenant, anna) == NOTHING
    assert revealed(resolve(client, tenant, "new")) == ["new"]


@pytest.mark.parametrize(("step", "when"), HIDDEN[:-1])
def test_the_job_finishes_what_nobody_asks_for_again(tenant, cluster, anna, cut_off, step, when):
    cut_off(step, when)
    with pytest.raises(CutOffError):
        erase(tenant, anna)
    assert (finish_all(), finish_all()) == (1, 0)
    assert left(cluster, tenant, anna) == NOTHING


@pytest.mark.parametrize(("step", "when"), HIDDEN[:-1])
def test_the_next_erasure_finishes_the_one_before(
    client, tenant, cluster, anna, cut_off, step, when
):
    cut_off(step, when)
    with pytest.raises(CutOffError):
        erase(tenant, anna)
    record(client, tenant, chat("b", user="bert"))
    bert = subject_of(cluster, tenant)
    erase(tenant, bert)
    assert (left(cluster, tenant, anna), left(cluster, tenant, bert)) == (NOTHING, NOTHING)
    assert len(heads(cluster)) == 1


KILLED = """
import os, signal, sys, uuid, django
django.setup()
from auditvault.vault import shred
from tests.integration.vault.erasing import AT
step, tenant, subject, reference = sys.argv[1:]
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
setattr(shred, step, die)
shred.destroy(region="eu", tenant_id=uuid.UUID(tenant), subjects=[uuid.UUID(subject)],
              reference=uuid.UUID(reference), at=AT)
"""


@pytest.mark.parametrize("step", ["_write_record", "destroy_keys", "finish"])
def test_an_erasure_whose_process_was_killed_finishes(tenant, cluster, anna, step):
    reference = uuid4()
    done = subprocess.run(
        [sys.executable, "-c", KILLED, step, str(tenant.tenant_id), str(anna), str(reference)],
        env={**os.environ, **cluster.environment("operator")},
        check=False,
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL
    erase(tenant, anna, reference=reference)
    assert left(cluster, tenant, anna) == NOTHING
    assert len(heads(cluster)) == 1
