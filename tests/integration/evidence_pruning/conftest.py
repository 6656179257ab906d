"""A tenant with a log that is old enough to be pruned."""

from __future__ import annotations

import pytest

from tests.integration.evidence_pruning.old_logs import expire, fill, policy_file


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
