"""A person with records, and two people who may hold them."""

from __future__ import annotations

import pytest

from tests.integration.access_alerts.conftest import (  # noqa: F401
    deliver,
    deliveries,
    due_again,
    loopback_allowed,
    receiver,
)
from tests.integration.ledger.conftest import connect  # noqa: F401  # connections as each database role
from tests.integration.privacy.holding import Lawyers
from tests.integration.privacy.requesting import Desk
from tests.integration.vault.conftest import anna, cut_off  # noqa: F401
from tests.staff import make_person


@pytest.fixture
def lawyers(service, tenant):
    return Lawyers(tenant)


@pytest.fixture
def desk(service, tenant):
    return Desk(tenant)


@pytest.fixture
def second(tenant):
    """An officer with no hand in any request."""
    return make_person(tenant, "privacy_officer")
