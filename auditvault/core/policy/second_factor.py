"""Which acts take a second factor: whatever shows content, approves, or decides over keys, roles and holds.

The table is no setting: a site cannot switch it off. A site may ask for a second factor of further roles.
"""

from __future__ import annotations

from auditvault.core.policy.roles import ALLOWED, Act, Role

NEED_SECOND_FACTOR: frozenset[Act] = frozenset(
    {
        Act.RESOLVE_FULL,
        Act.APPROVE_GRANT,
        Act.APPROVE_EXPORT,
        Act.APPROVE_ERASURE,
        Act.APPROVE_POLICY,
        Act.PLACE_HOLD,
        Act.MANAGE_KEYS,
        Act.GRANT_ROLES,
    }
)


def roles_with_second_factor() -> frozenset[Role]:
    """The roles of which an act takes a second factor."""
    return frozenset(role for role, acts in ALLOWED.items() if acts & NEED_SECOND_FACTOR)
