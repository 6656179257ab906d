"""Makes an investigator of a running instance who may see content for a case, and prints their token.

`python -m tests.acceptance.clearing TENANT CASE REGION…`, with AUDITVAULT_HOME. Two people are made, and the grant goes
through the service's own functions, as the console does it for people with a second factor.
"""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace


def main(tenant: str, case: str, *regions: str) -> None:
    """Print the token."""
    from auditvault.cli.main import adopt_instance

    adopt_instance("token", os.environ)
    import django

    django.setup()
    from tests.staff import cleared_person

    person = cleared_person(SimpleNamespace(slug=tenant), regions=regions, case=case)
    print(person.token("investigator"))


if __name__ == "__main__":
    main(*sys.argv[1:])
