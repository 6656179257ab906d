"""Flattened families.

What was one list of objects before an SDK flattened it becomes one content again.
"""

from __future__ import annotations

from auditvault.ingest.normalize.checks import check_words
from auditvault.ingest.normalize.draft import Draft
from auditvault.ingest.normalize.handlers import FAMILY_ROLES
from auditvault.ingest.otlp.reading import Value

_MAPPING_INDEX = -1


def seal_families(draft: Draft) -> None:
    """Make a content of every family collected so far, and forget them."""
    if draft.families is None:
        return
    families, draft.families = draft.families, None
    for prefix, members in families.items():
        items: list[Value] = [members[index] for index in sorted(members)]
        value: Value = members.get(_MAPPING_INDEX, items)
        draft.seal_value(FAMILY_ROLES[prefix], prefix, value)
        if FAMILY_ROLES[prefix] == "output_messages":
            _finish_reasons(draft, members)


def _finish_reasons(draft: Draft, members: dict[int, dict[str, Value]]) -> None:
    reasons: list[Value] = [
        members[index]["finish_reason"]
        for index in sorted(members)
        if "finish_reason" in members[index]
    ]
    checked = check_words(reasons)
    if checked is not None:
        draft.header.setdefault("finish_reasons", checked)
