"""The page that says which role may do what, made from what the views declare."""

from __future__ import annotations

from auditvault.access.demands import Demand
from auditvault.core.policy.roles import ALLOWED, Role
from tests.integration.access.operations import Operation, operations

HEAD = """\
# Who may do what

Made by `python -m tests.integration.access.write_matrix` from what each view declares; a test compares this page with
the declarations, and asks every operation of the machine interface with every role. What roles are for is in
[roles](roles.md).

A **caller** has a token. A **human** has a person's token; a machine's is refused with `human_required`. A **second
factor** was proved a short while ago; otherwise `second_factor_required`. What a service asks for on top, such as a
purpose or a second person, is said where the operation is described ([API](api.md)). Whoever may not is refused before
anything is looked for, so a refusal says nothing about what there is.
"""
OPEN = "\n## Open to anybody\n\n| operation | why |\n|---|---|\n"
PAGES = """
## Pages of the console

For people who are signed in, by the roles that they have at the place that they look at.

"""
_WHO = {
    "caller": "caller",
    "human": "human",
    "second_factor": "second factor",
    "session": "signed in",
}


def page() -> str:
    """The whole page."""
    machine = [o for o in operations() if not o.is_page and o.demand.who != "anybody"]
    pages = [o for o in operations() if o.is_page and o.demand.who != "anybody"]
    opened = [o for o in operations() if o.demand.who == "anybody"]
    return (
        HEAD
        + "\n## Operations\n\n"
        + _table(machine)
        + PAGES
        + _table(pages)
        + OPEN
        + "".join(f"| `{o.name}` | {o.demand.why} |\n" for o in opened)
    )


def _table(rows: list[Operation]) -> str:
    head = "| operation | asks for | roles |\n|---|---|---|\n"
    return head + "".join(
        f"| `{o.name}` | {_asked(o.demand)} | {_roles(o.demand)} |\n" for o in rows
    )


def _asked(demand: Demand) -> str:
    acts = " or ".join(f"`{act.value}`" for act in demand.acts)
    return f"{_WHO[demand.who]}{': ' if acts else ''}{acts}"


def _roles(demand: Demand) -> str:
    if not demand.acts:
        return "every"
    return " ".join(f"`{role.value}`" for role in Role if ALLOWED[role].intersection(demand.acts))
