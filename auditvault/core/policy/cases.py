"""References to a case in somebody's own system: what an act was decided on."""

from __future__ import annotations

import re

from auditvault.core.errors import AuditvaultError

_CASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/#-]{0,63}")


class CaseError(AuditvaultError):
    """What should refer to a case is no reference."""

    code = "case_invalid"


def check_case(case: str) -> None:
    """Refuse what is no reference such as INC-1234; raises CaseError, which does not repeat it."""
    if not _CASE.fullmatch(case):
        raise CaseError(
            "The case must be a reference such as INC-1234: letters, digits and . _ / # -"
        )
