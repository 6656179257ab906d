"""OpenBao for the tests that want it, and a proxy before it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.vault_providers.openbao import OpenBao, Proxy


@pytest.fixture(scope="session")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenBao]:
    server = OpenBao(tmp_path_factory.mktemp("bao"))
    yield server
    server.stop()


@pytest.fixture
def proxy(bao: OpenBao) -> Iterator[Proxy]:
    made = Proxy(bao)
    yield made
    made.server.stop()
