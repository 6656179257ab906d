"""One run of `auditvault up`: the order of the start, and what is true once each step is done.

1. the lock on the home: one supervisor a home;
2. what a killed predecessor left has ended;
3. secrets: made on the first start only;
4. PostgreSQL, then roles and databases, then migrations as the owner; from then on a secret that is
   missing is an error, since data depend on it;
5. the broker, then web, workers, beat and signer;
6. /readyz says 200, and run.json tells where everything is;
7. the demo, once.

A start that ends anywhere is simply started again: each step finds its own work done or undone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from auditvault.cli.up.account import server_account, server_directory
from auditvault.cli.up.broker import EmbeddedBroker
from auditvault.cli.up.children import AUDITVAULT, Service
from auditvault.cli.up.environment import Site
from auditvault.cli.up.events import Events
from auditvault.cli.up.files import write_private
from auditvault.cli.up.follow import LogFollower
from auditvault.cli.up.home import Home
from auditvault.cli.up.keys import SecretStore
from auditvault.cli.up.leftovers import clear_leftovers
from auditvault.cli.up.options import Options
from auditvault.cli.up.postgres import EmbeddedPostgres
from auditvault.cli.up.process import ChildSpec
from auditvault.cli.up.provision import close_default_databases, provision
from auditvault.cli.up.signals import SignalPipe
from auditvault.cli.up.sockets import (
    remove_socket_directory,
    require_port,
    socket_directory,
)
from auditvault.cli.up.state import (
    demo_logins,
    read_marker,
    remove_state,
    web_url,
    write_environments,
    write_marker,
    write_run_file,
)
from auditvault.cli.up.supervisor import ChildFailedError, StopRequestedError, Supervisor
from auditvault.core.errors import AuditvaultError

# Crash recovery after a busy day can take minutes; a Django process on a busy machine, many
# seconds.
_POSTGRES_SECONDS = 600.0
_BROKER_SECONDS = 60.0
_MIGRATION_SECONDS = 600.0
_WEB_SECONDS = 180.0
_DEMO_SECONDS = 300.0


def up(options: Options, service: Service = AUDITVAULT) -> None:
    """Start everything and stay until a signal comes; everything is stopped on return.

    Raises an AuditvaultError whose message is fit for a terminal.
    """
    home = Home(path=options.home)
    home.prepare()
    with SignalPipe() as signals, home.locked() as announce:
        _Session(options, home, announce, service).run(signals)


class _Session:
    """Holds what the steps hand on to each other."""

    def __init__(
        self, options: Options, home: Home, announce: Callable[[str], None], service: Service
    ) -> None:
        self._options = options
        self._home = home
        self._announce = announce
        self._service = service
        self._events = Events(as_json=options.as_json)
        self._follower = LogFollower(self._events)
        self._account = server_account()
        self._sockets = home.path
        self._superuser_dsn = ""
        self._ready_site: Site | None = None

    def run(self, signals: SignalPipe) -> None:
        """The whole life of the instance."""
        clear_leftovers(self._home.path, self._events)
        remove_state(self._home)
        port = require_port(self._options.port)
        self._announce(web_url(port))
        servers = server_directory(self._home.path, self._account)
        if servers.parent != self._home.path:
            why = "their user cannot enter the home"
            self._events.say("supervisor", f"the servers' files are in {servers}: {why}")
        self._sockets = socket_directory(servers / "run", self._account)
        supervisor = Supervisor(
            events=self._events,
            signals=signals,
            on_pids=self._write_run_file,
            follower=self._follower,
        )
        try:
            self._start(supervisor, port)
            supervisor.run()
        except StopRequestedError:
            self._events.say("supervisor", "stopping")
        except AuditvaultError:
            self._events.say("supervisor", "cannot go on; stopping everything")
            raise
        finally:
            self._ready_site = None
            supervisor.stop()
            remove_state(self._home)
            remove_socket_directory(self._sockets, preferred=servers / "run")
        self._events.say("supervisor", "everything is stopped")

    def _start(self, supervisor: Supervisor, port: int) -> None:
        self._events.say("supervisor", f"home {self._home.path}")
        secrets = self._secrets()
        self._superuser_dsn = self._options.database_url or self._start_postgres(supervisor)
        site = self._provision(port, secrets)
        self._migrate(supervisor, site)
        site = replace(site, broker_url=self._options.broker_url or self._start_broker(supervisor))
        write_environments(site)
        self._start_service(supervisor, site)
        self._ready_site = site
        self._write_run_file(supervisor.pids)
        self._run_demo(supervisor, site)
        self._greet(site)

    def _secrets(self) -> SecretStore:
        marker = read_marker(self._home)
        known = set(marker["regions"]) if marker else set()
        store = SecretStore(self._home.secrets, may_create=marker is None)
        regions = self._options.regions
        store.ensure(
            regions=regions,
            new_regions=[region for region in regions if region not in known],
            log_host=self._options.log_host,
        )
        self._home.make_erasure_ledgers(regions)
        trust = store.trust_file_content(regions=regions, log_host=self._options.log_host)
        write_private(self._home.path / "trust.json", trust)
        return store

    def _start_postgres(self, supervisor: Supervisor) -> str:
        server = EmbeddedPostgres(self._home.path, sockets=self._sockets)
        if not server.data.exists():
            self._events.say("postgres", "making the data directory")
        server.prepare()
        self._follow(server.spec())
        supervisor.start(server.spec(), timeout=_POSTGRES_SECONDS)
        close_default_databases(server.superuser_dsn)
        return server.superuser_dsn

    def _provision(self, port: int, secrets: SecretStore) -> Site:
        options = self._options
        urls = provision(
            self._superuser_dsn, regions=options.regions, passwords=secrets.role_passwords()
        )
        write_marker(self._home, options.regions)
        return Site(
            home=self._home.path,
            port=port,
            regions=options.regions,
            urls=urls,
            broker_url="",
            settings_module=options.settings_module,
            log_host=options.log_host,
            admin_dsn=self._superuser_dsn,
        )

    def _migrate(self, supervisor: Supervisor, site: Site) -> None:
        began = time.monotonic()
        command = self._service.migrate(site)
        self._follow(command)
        supervisor.run_once(command, timeout=_MIGRATION_SECONDS)
        seconds = time.monotonic() - began
        self._events.say("migrate", f"{len(site.urls)} databases are up to date ({seconds:.1f} s)")

    def _start_broker(self, supervisor: Supervisor) -> str:
        broker = EmbeddedBroker(self._home.path, self._sockets)
        broker.prepare()
        self._follow(broker.spec())
        supervisor.start(broker.spec(), timeout=_BROKER_SECONDS)
        return broker.url

    def _start_service(self, supervisor: Supervisor, site: Site) -> None:
        for spec in self._service.children(site):
            self._follow(spec)
            supervisor.start(spec, timeout=_WEB_SECONDS)

    def _run_demo(self, supervisor: Supervisor, site: Site) -> None:
        """A demo that fails is said and tried again at the next start; the service stays up."""
        if not self._options.demo or self._home.demo_file.exists():
            return
        command = self._service.demo(site)
        try:
            supervisor.run_once(command, timeout=_DEMO_SECONDS, relay=True)
        except ChildFailedError as error:
            self._events.say("demo", error.message, failed=True)

    def _greet(self, site: Site) -> None:
        url = web_url(site.port)
        logins = demo_logins(self._home) if self._options.demo else []
        self._events.say("supervisor", f"ready: {url}", web=url, ready=True, logins=logins)
        lines = ["", f"  console   {url}", f"  traces    {url}/v1/traces"]
        lines += [f"  log in    {login}" for login in logins]
        self._events.plain("\n".join([*lines, "  stop      Ctrl-C", ""]))

    def _follow(self, spec: ChildSpec) -> None:
        if self._options.verbose:
            self._follower.follow(spec.name, spec.log)

    def _write_run_file(self, pids: Mapping[str, int]) -> None:
        if self._ready_site is not None:
            write_run_file(self._ready_site, pids, superuser_dsn=self._superuser_dsn)
