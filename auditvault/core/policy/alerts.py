"""What somebody must hear of, and how often it is tried to tell them."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

MAX_ATTEMPTS = 12
_FIRST_WAIT = timedelta(seconds=10)
_LONGEST_WAIT = timedelta(hours=2)


class AlertKind(StrEnum):
    """What an alert is about. Receivers choose by these names, so a name is never changed."""

    BREAK_GLASS = "break_glass"
    BREAK_GLASS_UNREVIEWED = "break_glass_unreviewed"
    SUBJECT_BUDGET_SPENT = "subject_budget_spent"
    UNUSUAL_LOOKING = "unusual_looking"
    ENUMERATION = "enumeration"
    ACCESS_OUTAGE = "access_outage"
    PRIVACY_REQUEST_DUE = "privacy_request_due"
    ERASURE_NOTICE = "erasure_notice"
    TEST = "test"


def wait_after(attempts: int) -> timedelta | None:
    """How long to wait after so many attempts that failed, from 1 on; None: it is given up.

    Ten seconds, then three times as long each time, up to two hours; twelve attempts are spread over some 11 hours.
    """
    if attempts >= MAX_ATTEMPTS:
        return None
    wait = _FIRST_WAIT
    for _ in range(attempts - 1):
        wait *= 3
    return min(wait, _LONGEST_WAIT)
