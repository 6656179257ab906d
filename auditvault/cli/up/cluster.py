"""The servers alone, for tests and tools: PostgreSQL with roles and databases, and a broker.

No service runs on them. `with Cluster(home) as cluster:` takes one to two seconds the first time.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from auditvault.cli.up.broker import EmbeddedBroker
from auditvault.cli.up.environment import Purpose, Site, child_environment
from auditvault.cli.up.home import Home
from auditvault.cli.up.keys import SecretStore
from auditvault.cli.up.postgres import EmbeddedPostgres
from auditvault.cli.up.provision import close_default_databases, provision


class Cluster:
    """Everything below one home, which the caller makes and removes."""

    def __init__(
        self,
        home: Path,
        *,
        regions: Sequence[str] = ("eu", "us"),
        settings_module: str = "settings.test",
        web_port: int = 0,
        with_broker: bool = True,
        on_network: bool = True,
    ) -> None:
        """`web_port` only goes into the environments; not `on_network`, PostgreSQL listens on its socket alone."""
        self.postgres = EmbeddedPostgres(home, on_network=on_network)
        self._home = Home(path=home.resolve())
        self._regions = tuple(regions)
        self._settings_module = settings_module
        self._web_port = web_port
        self._with_broker = with_broker
        self._stack = ExitStack()
        self._site: Site | None = None

    @property
    def site(self) -> Site:
        """What environments are made from; inside the block only."""
        if self._site is None:
            raise RuntimeError("the cluster does not run")
        return self._site

    def environment(
        self, purpose: Purpose, *, regions: Sequence[str] | None = None
    ) -> dict[str, str]:
        """The environment of a process of this purpose."""
        return child_environment(purpose, self.site, regions=regions)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.postgres)
            dsn = self.postgres.superuser_dsn
            close_default_databases(dsn)
            broker_url = ""
            if self._with_broker:
                broker = EmbeddedBroker(self._home.path, self.postgres.sockets)
                broker_url = stack.enter_context(broker).url
            secrets = SecretStore(self._home.secrets, may_create=True)
            secrets.ensure(regions=self._regions, new_regions=(), log_host="localhost")
            self._home.make_erasure_ledgers(self._regions)
            urls = provision(dsn, regions=self._regions, passwords=secrets.role_passwords())
            self._site = Site(
                home=self._home.path,
                port=self._web_port,
                regions=self._regions,
                urls=urls,
                broker_url=broker_url,
                settings_module=self._settings_module,
                admin_dsn=dsn,
            )
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._site = None
        self._stack.close()
