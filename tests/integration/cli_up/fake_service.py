"""`auditvault up` with small programs in the place of ours, on the real PostgreSQL and broker.

Run as a program: `python fake_service.py HOME PORT [words...]`. Each word switches something on:
`broken-migrate`, `broken-demo`, `dying-beat`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from auditvault.cli.up.children import Service, is_web_ready
from auditvault.cli.up.command import _report
from auditvault.cli.up.environment import Site, child_environment
from auditvault.cli.up.home import Home
from auditvault.cli.up.options import Options
from auditvault.cli.up.process import ChildSpec
from auditvault.cli.up.session import up
from auditvault.core.errors import AuditvaultError

WEB = """
import http.server, os, psycopg
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            with psycopg.connect(os.environ["AUDITVAULT_CONTROL_URL"]) as connection:
                connection.execute("SELECT count(*) FROM visits")
            self.send_response(200)
        except psycopg.Error:
            self.send_response(503)
        self.end_headers()
    def log_message(self, *_):
        pass
http.server.HTTPServer(("127.0.0.1", int(os.environ["AUDITVAULT_PORT"])), Handler).serve_forever()
"""
MIGRATE = """
import os, psycopg
with psycopg.connect(os.environ["AUDITVAULT_CONTROL_URL"]) as connection:
    connection.execute("CREATE TABLE IF NOT EXISTS visits (at timestamptz)")
    connection.execute("GRANT SELECT ON visits TO auditvault_app")
"""
DEMO = """
import json, os, pathlib
print("the demo says hello")
path = pathlib.Path(os.environ["AUDITVAULT_HOME"], "demo.json")
path.write_text(json.dumps({"logins": [{"username": "ada", "password": "pw", "role": "auditor"}]}))
"""
IDLE = "import time\nwhile True: time.sleep(0.1)"
BROKEN = "raise SystemExit('it is broken')"


def service(words: set[str]) -> Service:
    def child(site: Site, name: str, program: str, **options) -> ChildSpec:
        purpose = {"migrate": "owner", "demo": "operator"}.get(name, name.partition("-")[0])
        return ChildSpec(
            name=name,
            argv=(sys.executable, "-c", program),
            environment=child_environment(purpose, site),
            log=Home(path=site.home).logs / f"{name}.log",
            **options,
        )

    def children(site: Site) -> list[ChildSpec]:
        def ready() -> bool:
            return is_web_ready(site.port)

        beat = BROKEN if "dying-beat" in words else IDLE
        idle = [child(site, f"worker-{region}", IDLE) for region in site.regions]
        web = child(site, "web", WEB, ready=ready, needs=("postgres",))
        return [web, *idle, child(site, "beat", beat), child(site, "signer", IDLE)]

    return Service(
        children=children,
        migrate=lambda site: child(
            site, "migrate", BROKEN if "broken-migrate" in words else MIGRATE
        ),
        demo=lambda site: child(site, "demo", BROKEN if "broken-demo" in words else DEMO),
    )


def main() -> int:
    home, port, *words = sys.argv[1:]
    try:
        options = Options.from_environment(
            os.environ,
            home=Path(home),
            port=int(port),
            demo=True,
            as_json=False,
            verbose=False,
        )
        up(options, service(set(words)))
    except AuditvaultError as error:
        _report(error, as_json=False)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
