"""The list of what runs, as data: argument lists, environments and what each one needs."""

from __future__ import annotations

import http.client
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from auditvault.cli.up.environment import Purpose, Site, child_environment
from auditvault.cli.up.home import Home
from auditvault.cli.up.process import ChildSpec
from auditvault.cli.up.sockets import LOOPBACK

_ANSWER_SECONDS = 2.0
_PYTHON = sys.executable
_NEEDS: dict[Purpose, tuple[str, ...]] = {
    "web": ("postgres",),
    "worker": ("postgres", "broker"),
    "beat": ("broker",),
    "signer": ("postgres",),
    "owner": ("postgres",),
    "operator": ("postgres",),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """What runs on the servers; tests put small programs in its place."""

    # Started in this order, stopped in reverse.
    children: Callable[[Site], Sequence[ChildSpec]]
    # Runs to its end before the children start.
    migrate: Callable[[Site], ChildSpec]
    # Runs to its end once the children are ready, until it has left demo.json.
    demo: Callable[[Site], ChildSpec]


def _service_children(site: Site) -> list[ChildSpec]:
    workers = [_worker(site, region) for region in site.regions]
    return [_web(site), *workers, _beat(site), _signer(site)]


def _migrate(site: Site) -> ChildSpec:
    return _command(site, ("migrate_all", "--verbosity", "1"), "owner", log_name="migrate")


def _demo(site: Site) -> ChildSpec:
    return _command(site, ("demo",), "operator", log_name="demo")


AUDITVAULT = Service(children=_service_children, migrate=_migrate, demo=_demo)


def is_web_ready(port: int) -> bool:
    """Whether the service says that it can work: 200 from /readyz."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _web(site: Site) -> ChildSpec:
    argv = (
        _PYTHON, "-m", "granian", "--interface", "wsgi", "--host", LOOPBACK,
        "--port", str(site.port), "--workers", "2", "--blocking-threads", "2",
        "--respawn-failed-workers", "--respawn-interval", "0.5", "--workers-kill-timeout", "10",
        "--log-level", "warning", "settings.wsgi:application",
    )  # fmt: skip
    return _child(site, "web", argv, "web", ready=True)


def _worker(site: Site, region: str) -> ChildSpec:
    argv = (
        *_celery("worker"), "--queues", f"region-{region}", "--concurrency", "1",
        "--hostname", f"worker-{region}@%h", "--without-gossip", "--without-mingle",
        "--without-heartbeat",
    )  # fmt: skip
    return _child(site, f"worker-{region}", argv, "worker", regions=(region,))


def _beat(site: Site) -> ChildSpec:
    return _child(site, "beat", (*_celery("beat"), "--pidfile="), "beat")


def _signer(site: Site) -> ChildSpec:
    return _child(site, "signer", (_PYTHON, "-m", "django", "signer"), "signer")


def _command(site: Site, words: tuple[str, ...], purpose: Purpose, *, log_name: str) -> ChildSpec:
    return _child(site, log_name, (_PYTHON, "-m", "django", *words), purpose)


def _celery(command: str) -> tuple[str, ...]:
    return (_PYTHON, "-m", "celery", "-A", "settings.celery", command, "--loglevel", "INFO")


def _child(
    site: Site,
    name: str,
    argv: tuple[str, ...],
    purpose: Purpose,
    *,
    regions: tuple[str, ...] | None = None,
    ready: bool = False,
) -> ChildSpec:
    home = Home(path=site.home)
    return ChildSpec(
        name=name,
        argv=argv,
        environment=child_environment(purpose, site, regions=regions),
        log=home.logs / f"{name}.log",
        needs=_NEEDS[purpose],
        ready=(lambda: is_web_ready(site.port)) if ready else None,
        # A worker ends where the broker refuses its writes: the servers' disk matters as much.
        storage=(home.path, home.path / "servers"),
    )
