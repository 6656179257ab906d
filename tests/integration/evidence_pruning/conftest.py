"""A tenant with a log that is old enough to be pruned."""

from __future__ import annotations

import pytest

from tests.integration.evidence_pruning.old_logs import expire, fill, policy_file


@pytest.fixture(autouse=True)
def _one_person(service, monkeypatch):
    """Two people are the matter of test_approved.py."""
    from django.conf import settings

    monkeypatch.setattr(settings, "COMMANDS_WITHOUT_APPROVAL", True)


@pytest.fixture
def log(client, tenant, run_signer, monkeypatch):
    return fill(client, tenant, run_signer, monkeypatch)


@pytest.fixture
def policy(tmp_path):
    return policy_file(tmp_path)


@pytest.fixture
def expired(log, cluster):
    """The log, with the contents of its old records gone."""
    expire(cluster, log, 600)
    return log
