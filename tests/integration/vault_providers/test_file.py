"""The file provider keeps the contract of all providers."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditvault.vault.providers.opening import open_provider
from tests.integration.vault_providers.contract import Make, ProviderContract


class TestFile(ProviderContract):
    @pytest.fixture
    def make(self, tmp_path: Path) -> Make:
        path = tmp_path / "root.key"
        path.write_text("a1" * 32)
        path.chmod(0o600)
        return lambda: open_provider(path.as_uri())
