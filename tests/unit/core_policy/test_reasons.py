"""A reason says something, or nothing is shown."""

from __future__ import annotations

import pytest

from auditvault.core.policy.access import PurposeError, Role, check_purpose


def purpose_of(reason, case="INC-4711"):
    return check_purpose(code="INCIDENT", case=case, reason=reason, role=Role.INVESTIGATOR)


@pytest.mark.parametrize(
    "reason",
    [
        "A customer complains about an answer",
        "Der Kunde beschwert sich über die Antwort",
        "客户投诉了昨天下午收到的回答内容有误",
        "Клиент жалуется на ответ бота",
        "Refund was promised twice in INC-4711",
        "Checks whether the address was in the prompt",
    ],
)
def test_what_people_write_is_a_reason(reason):
    assert purpose_of(reason).reason == reason


@pytest.mark.parametrize(
    "reason",
    [
        "asdf asdf asdf asdf asdf",
        "qwertyuiop asdfghjkl zxcvbnm",
        "poiuytrewq lkjhgfdsa mnbvcxz",
        "qwertzuiop yxcvbnm asdfghjklö",
        "investigation investigation investigation",
        "INC-4711 INC-4711 INC-4711",
        "case INC-4711, the case INC-4711",
        "reason: INCIDENT (incident) INC-4711",
        "legal review complaint incident",
        "test test test testing test",
        "lorem ipsum dolor lorem ipsum",
        "xxxxxxxx yyyyyyy zzzzzzzz aaaaaa",
        "abcabcabc dadadada xyxyxyxy lololo",
        "abcdefg hijklmn opqrstu vwxyz",
        "!!!!!!!!!!!!!!!!!!!!!!!!",
        "1234567890 1234567890 12345",
        "............. because ............",
    ],
)
def test_a_form_that_was_filled_with_something_is_none(reason):
    with pytest.raises(PurposeError):
        purpose_of(reason)
