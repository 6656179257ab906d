"""The `auditvault` command: `up` without Django, everything else a management command.

A command typed in another shell finds the running instance by the files that `up` leaves in its
home. Variables that are already set win over them.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import MutableMapping, Sequence
from pathlib import Path

import auditvault
from auditvault.cli.up.home import Home, default_home, project_root

COULD_NOT_RUN = 2
# What changes a schema runs as the owner, the signer as itself, what copies or replaces whole databases as an
# administrator, all others as the operator.
_PURPOSES = {
    "migrate": "owner",
    "migrate_all": "owner",
    "region": "owner",
    "signer": "signer",
    "backup": "backup",
    "restore": "backup",
    "restore_drill": "backup",
}
# Here, and not asked of the commands: to import them takes Django and complete settings.
COMMANDS = {
    "up": "start everything on this machine and stay in the foreground",
    "region": "make a region ready, or say what it lacks",
    "tenant": "make a tenant, or add regions to one",
    "person": "invite somebody, reset a password or a lost second factor",
    "token": "make a token and print it once; rotate, revoke, list them",
    "role": "give roles, take them away; make a tenant's own",
    "human": "say which accounts are one human's",
    "scim_token": "make, rotate and revoke a SCIM client's token",
    "scim_group": "say what provisioned groups give",
    "look_limit": "set how many people one person may look at in a day",
    "receiver": "say who hears of a tenant's alerts; try it",
    "resolve": "show the content behind a hash; the look is recorded first",
    "grant": "ask to see content of a case, let somebody, list grants",
    "export": "take headers away, encrypted to your own key",
    "subject": "show, merge and split subjects; declare kinds of identifiers",
    "verify": "verify every log",
    "report": "say who may see content, and who did",
    "bundle": "take entries of a log away, with what proves them",
    "signer": "sign checkpoints until told to stop",
    "checkpoint_key": "bring keys that sign in and out",
    "trust": "say whom evidence leans on; take up a change of it",
    "restored": "answer for a database that was put back to an older backup",
    "replay_erasures": "erase again what a restore brought back",
    "backup": "back a region up, encrypted and signed",
    "restore": "put a backup back; the region is then pending",
    "restore_drill": "restore a backup aside, verify it, leave a report",
    "prune": "give up the beginning of a log, as a written policy says",
    "keys": "turn the epoch of keys, rotate them, say how they stand",
    "processing": "print the record of processing activities",
    "retention": "carry out retention runs, show them, let them rest",
    "payload_policy": "say what of contents is kept; show what was said",
    "migrate_all": "bring all databases to the current schema",
    "demo": "make the demo tenant and take one record all the way",
}
_USAGE = """\
usage: auditvault COMMAND [options]

{commands}

`auditvault COMMAND --help` describes a command.
AUDITVAULT_HOME names the instance (default: var/)."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status: 2 where it could not be run at all."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in {"-h", "--help"}:
        lines = [f"  {name:<15} {what}" for name, what in COMMANDS.items()]
        print(_USAGE.format(commands="\n".join(lines)))
        return 0 if words else COULD_NOT_RUN
    if words[0] in {"-V", "--version", "version"}:
        print(auditvault.__version__)
        return 0
    if words[0] == "up":
        from auditvault.cli.up.command import main as up

        return up(words[1:])
    return _manage(words)


def adopt_instance(command: str, environment: MutableMapping[str, str]) -> None:
    """Complete `environment` with what the instance in its home left for this command."""
    path = Path(environment.get("AUDITVAULT_HOME") or default_home()).expanduser().resolve()
    environment["AUDITVAULT_HOME"] = str(path)
    environment.setdefault("DJANGO_SETTINGS_MODULE", "settings.dev")
    if "AUDITVAULT_CONTROL_URL" in environment:
        return
    home = Home(path=path)
    purpose = _PURPOSES.get(command)
    source = home.environment_file(purpose) if purpose else home.env_file
    try:
        stored = json.loads(source.read_text())
    except (OSError, ValueError):
        return
    for name, value in stored.items():
        environment.setdefault(name, value)


def _manage(words: list[str]) -> int:
    # A command's module cannot have a hyphen in its name; who types one means it.
    words[0] = words[0].replace("-", "_")
    adopt_instance(words[0], os.environ)
    if str(project_root()) not in sys.path:
        sys.path.insert(0, str(project_root()))
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import ManagementUtility

    try:
        ManagementUtility(["auditvault", *words]).execute()
    except ImproperlyConfigured as error:
        home = os.environ["AUDITVAULT_HOME"]
        print(f"auditvault: {error}\nNo running instance was found in {home}.", file=sys.stderr)
        return COULD_NOT_RUN
    return 0


if __name__ == "__main__":
    sys.exit(main())
