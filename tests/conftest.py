"""What every test may use: a real PostgreSQL and a real broker, and a fresh tenant for each test that asks.

Nothing is rolled back or truncated between tests: a log cannot be. Each test works in a tenant of its own, which
row-level security keeps apart from all others. Tests that use no database start none.
"""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, settings

from auditvault.cli.up.cluster import Cluster

ROOT = Path(__file__).resolve().parent.parent

# The machines are shared: a slow example is no finding.
settings.register_profile(
    "auditvault",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("auditvault")

_cluster: Cluster | None = None


def _needs_service(item: pytest.Item) -> bool:
    path = str(item.path)
    return "/tests/integration/" in path or "/tests/migration/" in path


# Files that take minutes, most of them with few tests: begun last, one would keep one process waiting for the other.
_SLOW = (
    "/tests/acceptance/",
    "/access/test_schemathesis.py",
    "/access/test_roles.py",
    "/access/test_refusals.py",
    "/access/test_across_tenants.py",
    "/cli_backups/",
    "/evidence_pruning/",
    "/vault_providers/",
)


def _is_slow(item: pytest.Item) -> bool:
    return any(part in str(item.path) for part in _SLOW)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow files first; and start the servers once, before Django is asked for anything, if a test needs them."""
    items.sort(key=lambda item: not _is_slow(item))
    if any(_needs_service(item) for item in items):
        _start_cluster()


def pytest_unconfigure() -> None:
    """Stop the servers and remove their files, whatever happened."""
    global _cluster
    if _cluster is not None:
        cluster, _cluster = _cluster, None
        _end_listeners()
        cluster.__exit__(None, None, None)
        shutil.rmtree(_home_of(cluster), ignore_errors=True)


def _end_listeners() -> None:
    """Let go of the keyrings: each has a thread that listens, and would report that its server is gone."""
    from auditvault.vault.keyring import services

    services._keyrings.clear()
    gc.collect()


_homes: dict[int, Path] = {}


def _home_of(cluster: Cluster) -> Path:
    return _homes[id(cluster)]


def _start_cluster() -> None:
    global _cluster  # noqa: PLW0603
    if _cluster is not None:
        return
    home = Path(tempfile.mkdtemp(prefix="auditvault-test-"))
    home.chmod(0o711)
    cluster = Cluster(home)
    _homes[id(cluster)] = home
    cluster.__enter__()
    _cluster = cluster
    _forgo_power_loss(cluster)
    subprocess.run(
        [sys.executable, "-m", "django", "migrate_all", "--verbosity", "0"],
        env=cluster.environment("owner"),
        check=True,
        cwd=ROOT,
    )
    environment = cluster.environment("operator") | {
        "AUDITVAULT_SIGNER_KEY_FILE": cluster.environment("signer")["AUDITVAULT_SIGNER_KEY_FILE"],
        "AUDITVAULT_SIGNER_STATE_FILE": cluster.environment("signer")[
            "AUDITVAULT_SIGNER_STATE_FILE"
        ],
    }
    os.environ.update(environment)
    import django

    django.setup()
    from django.test.utils import setup_test_environment

    setup_test_environment()


def _forgo_power_loss(cluster: Cluster) -> None:
    """Let this server's writes stay in the machine's cache: each commit is spared a wait for the disk.

    What a process wrote outlives the process, so a server or backend that is killed loses nothing. Only a
    machine that loses power would, and no test does that here. `synchronous_commit` stays on: without it a
    commit may be acknowledged before it is written at all. Tests that start servers of their own keep
    every setting of the product.
    """
    with psycopg.connect(cluster.postgres.superuser_dsn, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("ALTER SYSTEM SET full_page_writes = off")
        connection.execute("SELECT pg_reload_conf()")


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """The running servers; `.environment(purpose)` and `.postgres.superuser_dsn` are what tests want."""
    assert _cluster is not None
    return _cluster


@pytest.fixture
def service(cluster: Cluster) -> Iterator[Cluster]:
    """Django on the real databases, as the application's own role. Commits are real; see the module's docstring."""
    yield cluster
    from django.db import connections

    for connection in connections.all(initialized_only=True):
        connection.close()


@dataclass(frozen=True)
class TestTenant:
    """A tenant of one test's own, with regions eu and us."""

    __test__ = False

    tenant_id: uuid.UUID
    slug: str
    regions: tuple[str, ...] = ("eu", "us")
    _tokens: dict[str, str] = field(default_factory=dict)

    def token(self, *roles: str, regions: tuple[str, ...] = ("eu",)) -> str:
        """A live token with these roles; the same one for the same question."""
        from auditvault.access.tokens import create_token

        asked = f"{roles}{regions}"
        if asked not in self._tokens:
            self._tokens[asked] = create_token(
                tenant_slug=self.slug,
                regions=regions,
                roles=roles,
                lifetime=timedelta(hours=1),
                now=datetime.now(UTC),
            )
        return self._tokens[asked]

    def headers(self, *roles: str, regions: tuple[str, ...] = ("eu",)) -> dict[str, str]:
        """Request headers with such a token, for Django's test client: `client.get(url, headers=…)`."""
        return {"Authorization": f"Bearer {self.token(*roles, regions=regions)}"}

    def cleared(self, *, regions: tuple[str, ...] = ("eu",), case: str = "INC-1") -> dict[str, str]:
        """Headers of an investigator with a second factor, who may see for the case what is recorded about now."""
        from tests.staff import cleared_person

        asked = f"cleared {regions} {case}"
        if asked not in self._tokens:
            person = cleared_person(self, regions=regions, case=case)
            self._tokens[asked] = person.token("investigator")
        return {"Authorization": f"Bearer {self._tokens[asked]}"}


def make_tenant() -> TestTenant:
    """A fresh tenant in both regions."""
    from auditvault.access.tenants import create_tenant

    slug = f"t-{uuid.uuid4().hex[:20]}"
    tenant = create_tenant(slug=slug, name=slug, regions=("eu", "us"), served=("eu", "us"))
    return TestTenant(tenant_id=tenant.tenant_id, slug=slug)


@pytest.fixture
def tenant(service: Cluster) -> TestTenant:
    """A fresh tenant of this test's own."""
    return make_tenant()


@pytest.fixture
def other_tenant(service: Cluster) -> TestTenant:
    """Another one, for tests that must not see across."""
    return make_tenant()


@pytest.fixture
def client(service: Cluster) -> object:
    """Django's test client: the whole WSGI stack in this process."""
    from django.test import Client

    return Client()


@pytest.fixture
def run_signer(service: Cluster) -> Callable[[], None]:
    """`run_signer()` lets the real signer look once, over both regions, in this process."""
    from django.core.management import call_command

    def once() -> None:
        call_command("signer", once=True)

    return once
