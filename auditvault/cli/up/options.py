"""What an operator asks of `auditvault up`, from the command line and the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from auditvault.cli.up.provision import check_region

DEFAULT_REGIONS = "eu,us"
DEFAULT_SETTINGS = "settings.dev"
DEFAULT_LOG_HOST = "localhost"


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What the command line and the environment ask for."""

    home: Path
    port: int  # 0: find a free one
    demo: bool = True
    as_json: bool = False
    verbose: bool = False
    regions: tuple[str, ...] = ("eu", "us")
    database_url: str | None = None  # an administrator's, of a server that is not ours
    broker_url: str | None = None
    settings_module: str = DEFAULT_SETTINGS
    log_host: str = DEFAULT_LOG_HOST

    @classmethod
    def from_environment(
        cls,
        environment: Mapping[str, str],
        *,
        home: Path,
        port: int,
        demo: bool,
        as_json: bool,
        verbose: bool,
    ) -> Options:
        """Raises ProvisionError for a malformed region name."""
        names = environment.get("AUDITVAULT_REGIONS") or DEFAULT_REGIONS
        regions = dict.fromkeys(name.strip() for name in names.split(",") if name.strip())
        return cls(
            home=home.expanduser().resolve(),
            port=port,
            demo=demo,
            as_json=as_json,
            verbose=verbose,
            regions=tuple(check_region(region) for region in regions),
            database_url=environment.get("DATABASE_URL") or None,
            broker_url=environment.get("AUDITVAULT_BROKER_URL") or None,
            settings_module=environment.get("DJANGO_SETTINGS_MODULE") or DEFAULT_SETTINGS,
            log_host=environment.get("AUDITVAULT_LOG_HOST") or DEFAULT_LOG_HOST,
        )
