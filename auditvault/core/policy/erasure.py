"""The states of a request about somebody's data, and who may move it from one to the next.

The table `EDGES` is the rule; docs/spec/privacy-requests.md section 2 shows it. Kinds: erasure, access, portability,
rectification, restriction, objection. No edge leads past the proof of identity. What is going to be done is frozen in a
manifest before it is approved; the approval binds the manifest's hash, and is given by a human who has had no hand in
the request so far. From the first destruction on nothing is taken back. Pure: storage, entries and discovery are left
to `auditvault.privacy.requests`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, NamedTuple

from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.approvals import HumanId, OwnApprovalError
from auditvault.core.policy.roles import AccessDeniedError, Act

MANIFEST_DIGEST_SIZE = 32


class RequestMoveError(AuditvaultError):
    """The request does not go on in this way from where it is."""

    code: ClassVar[str] = "privacy_request_move"


class ManifestDriftedError(AuditvaultError):
    """What would be done is not what was frozen, or approved."""

    code: ClassVar[str] = "manifest_drifted"


class ExtensionRefusedError(AuditvaultError):
    """The time cannot be extended: too late, done before, or the law knows no extension."""

    code: ClassVar[str] = "extension_refused"


class Kind(StrEnum):
    """What somebody asks for."""

    ERASURE = "erasure"
    ACCESS = "access"
    PORTABILITY = "portability"
    RECTIFICATION = "rectification"
    RESTRICTION = "restriction"
    OBJECTION = "objection"


class State(StrEnum):
    """Where a request is."""

    RECEIVED = "received"
    IDENTITY_PENDING = "identity_pending"
    IDENTIFIED = "identified"
    SCOPED = "scoped"
    ASSESSED = "assessed"
    AWAITING_APPROVAL = "awaiting_approval"
    SCHEDULED = "scheduled"
    EXECUTING = "executing"
    KEYS_DESTROYED = "keys_destroyed"
    VERIFYING = "verifying"
    BACKUP_PENDING = "backup_pending"
    NOTIFYING = "notifying"
    CERTIFIED = "certified"
    CLOSED = "closed"
    HELD = "held"
    FAILED_RETRY = "failed_retry"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    DUPLICATE = "duplicate"


class Action(StrEnum):
    """What moves it."""

    ASK_IDENTITY = "ask_identity"
    VERIFY_IDENTITY = "verify_identity"
    FREEZE = "freeze"
    RESCOPE = "rescope"
    ASSESS = "assess"
    ASK_APPROVAL = "ask_approval"
    APPROVE = "approve"
    BEGIN = "begin"
    HOLD = "hold"
    RESUME = "resume"
    FAIL = "fail"
    RETRY = "retry"
    DESTROY_KEYS = "destroy_keys"
    FINISH = "finish"
    REOPEN = "reopen"
    CONFIRM = "confirm"
    PASS_BACKUPS = "pass_backups"  # noqa: S105  # no password
    CERTIFY = "certify"
    CLOSE = "close"
    REFUSE = "refuse"
    WITHDRAW = "withdraw"
    MARK_DUPLICATE = "mark_duplicate"


ALL_KINDS = frozenset(Kind)
DESTROYING = frozenset({Kind.ERASURE, Kind.RECTIFICATION})
"""Kinds that destroy keys, and so wait for backups too. A rectification destroys what it supersedes."""
RESTRICTING = frozenset({Kind.RESTRICTION, Kind.OBJECTION})
"""Kinds that restrict: an objection until it is assessed (GDPR Art. 18(1)(d))."""
_QUIET = ALL_KINDS - DESTROYING
CLOSED_STATES = frozenset({State.CLOSED, State.WITHDRAWN, State.DUPLICATE})
"""From which no edge leads on."""
_PREPARE, _APPROVE = Act.PREPARE_ERASURE, Act.APPROVE_ERASURE


class Edge(NamedTuple):
    """A way from one state to the next."""

    source: State
    action: Action
    target: State
    act: Act | None
    """What a person must be allowed to do; None where the service itself goes on."""
    is_dual: bool = False
    """Whether it takes a human who has had no hand in the request."""
    kinds: frozenset[Kind] = ALL_KINDS


_S, _A = State, Action
_PREPARING = (_S.SCOPED, _S.ASSESSED, _S.AWAITING_APPROVAL)
_BEFORE_EXECUTION = (
    _S.RECEIVED,
    _S.IDENTITY_PENDING,
    _S.IDENTIFIED,
    *_PREPARING,
    _S.SCHEDULED,
    _S.HELD,
)

EDGES: tuple[Edge, ...] = (
    Edge(_S.RECEIVED, _A.ASK_IDENTITY, _S.IDENTITY_PENDING, _PREPARE),
    Edge(_S.IDENTITY_PENDING, _A.VERIFY_IDENTITY, _S.IDENTIFIED, _PREPARE),
    Edge(_S.IDENTIFIED, _A.FREEZE, _S.SCOPED, _PREPARE),
    Edge(_S.SCOPED, _A.ASSESS, _S.ASSESSED, _PREPARE),
    Edge(_S.ASSESSED, _A.ASK_APPROVAL, _S.AWAITING_APPROVAL, _PREPARE),
    Edge(_S.AWAITING_APPROVAL, _A.APPROVE, _S.SCHEDULED, _APPROVE, is_dual=True),
    *(Edge(state, _A.RESCOPE, _S.IDENTIFIED, _PREPARE) for state in (*_PREPARING, _S.SCHEDULED)),
    Edge(_S.SCHEDULED, _A.BEGIN, _S.EXECUTING, None),
    Edge(_S.SCHEDULED, _A.HOLD, _S.HELD, None),
    Edge(_S.EXECUTING, _A.HOLD, _S.HELD, None),
    Edge(_S.HELD, _A.RESUME, _S.SCHEDULED, None),
    Edge(_S.EXECUTING, _A.FAIL, _S.FAILED_RETRY, None),
    Edge(_S.FAILED_RETRY, _A.RETRY, _S.EXECUTING, None),
    Edge(_S.EXECUTING, _A.DESTROY_KEYS, _S.KEYS_DESTROYED, None, kinds=DESTROYING),
    Edge(_S.KEYS_DESTROYED, _A.FINISH, _S.VERIFYING, None, kinds=DESTROYING),
    Edge(_S.EXECUTING, _A.FINISH, _S.VERIFYING, None, kinds=_QUIET),
    Edge(_S.VERIFYING, _A.REOPEN, _S.EXECUTING, None),
    Edge(_S.VERIFYING, _A.CONFIRM, _S.BACKUP_PENDING, None, kinds=DESTROYING),
    Edge(_S.VERIFYING, _A.CONFIRM, _S.NOTIFYING, None, kinds=_QUIET),
    Edge(_S.BACKUP_PENDING, _A.PASS_BACKUPS, _S.NOTIFYING, None, kinds=DESTROYING),
    Edge(_S.NOTIFYING, _A.CERTIFY, _S.CERTIFIED, None),
    Edge(_S.CERTIFIED, _A.CLOSE, _S.CLOSED, _PREPARE),
    Edge(_S.REFUSED, _A.CLOSE, _S.CLOSED, _PREPARE),
    *(
        Edge(state, _A.REFUSE, _S.REFUSED, _APPROVE, is_dual=True)
        for state in (_S.IDENTITY_PENDING, _S.IDENTIFIED, *_PREPARING)
    ),
    *(Edge(state, _A.WITHDRAW, _S.WITHDRAWN, _PREPARE) for state in _BEFORE_EXECUTION),
    *(
        Edge(state, _A.MARK_DUPLICATE, _S.DUPLICATE, _PREPARE)
        for state in (_S.RECEIVED, _S.IDENTITY_PENDING, _S.IDENTIFIED)
    ),
)
"""Every way there is; one for each state, action and kind."""


@dataclass(frozen=True, kw_only=True, slots=True)
class By:
    """Who moves it: a human with what they may do, or, without one, the service itself."""

    human: HumanId | None = None
    acts: frozenset[Act] = frozenset()


SERVICE = By()


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """A request, with what decides how it may go on."""

    kind: Kind
    state: State = State.RECEIVED
    hands: frozenset[HumanId] = frozenset()
    """Every human who has taken it in or moved it."""
    is_identified: bool = False
    manifest: bytes | None = None
    """SHA-256 of the frozen manifest."""
    approved_manifest: bytes | None = None
    approved_by: HumanId | None = None
    has_begun: bool = False
    """Whether its execution has begun: then it is neither withdrawn nor given another scope."""
    is_extended: bool = False

    def move(self, action: Action, by: By, *, manifest: bytes | None = None) -> Request:
        """Return it moved; `manifest` is the digest that is frozen, approved, or about to be carried out.

        Raises:
            RequestMoveError: there is no such edge from here.
            AccessDeniedError: the mover may not take it.
            OwnApprovalError: it takes a human who has had no hand in it.
            ManifestDriftedError: the digest is not the one that was frozen, or approved.
        """
        edge = self._edge(action)
        self._check_mover(edge, by)
        moved = replace(self, state=edge.target)
        if by.human is not None:
            moved = replace(moved, hands=moved.hands | {by.human})
        return _EFFECTS.get(action, _unchanged)(moved, by, manifest)

    def actions(self) -> Iterator[Edge]:
        """The edges that lead on from here."""
        for edge in EDGES:
            if edge.source is self.state and self.kind in edge.kinds and not self._is_barred(edge):
                yield edge

    def extend(
        self, by: By, *, due_at: datetime, extended_due_at: datetime | None, now: datetime
    ) -> Request:
        """Return it extended; whoever asked is told with the reasons, and before the first limit has passed.

        `due_at` is the first instant that is too late without an extension, the other one with it: None where the law
        knows none (`regimes.Clocks`).

        Raises ExtensionRefusedError, AccessDeniedError.
        """
        self._check_allowed(_PREPARE, by)
        if self.is_extended or self.state in CLOSED_STATES or extended_due_at is None:
            raise ExtensionRefusedError(
                "It is extended or closed already, or the law knows no extension."
            )
        if now >= due_at:
            raise ExtensionRefusedError("The time for saying that it takes longer is over.")
        hands = self.hands | ({by.human} if by.human is not None else set())
        return replace(self, is_extended=True, hands=hands)

    def _edge(self, action: Action) -> Edge:
        for edge in self.actions():
            if edge.action is action:
                return edge
        raise RequestMoveError(f"A request that is {self.state.value} cannot {action.value}.")

    def _is_barred(self, edge: Edge) -> bool:
        return self.has_begun and edge.action in {Action.WITHDRAW, Action.RESCOPE}

    def _check_mover(self, edge: Edge, by: By) -> None:
        if edge.act is None:
            if by.human is not None:
                raise AccessDeniedError("The service itself takes this step.")
            return
        self._check_allowed(edge.act, by)
        if edge.is_dual and by.human in self.hands:
            raise OwnApprovalError(
                "Somebody has to decide who has had no hand in this request so far."
            )

    @staticmethod
    def _check_allowed(act: Act, by: By) -> None:
        if by.human is None:
            raise AccessDeniedError("A person has to take this step.")
        if act not in by.acts:
            raise AccessDeniedError(f"None of your roles allows {act.value}.")


def receive(kind: Kind, by: By) -> Request:
    """A request as it comes in; raises AccessDeniedError unless a person takes it in who may prepare one."""
    if by.human is None or Act.PREPARE_ERASURE not in by.acts:
        raise AccessDeniedError(f"None of your roles allows {Act.PREPARE_ERASURE.value}.")
    return Request(kind=kind, hands=frozenset({by.human}))


def clone(request: Request, by: By) -> Request:
    """Another request of the same kind. Nothing is inherited: no identity, manifest or approval."""
    return receive(request.kind, by)


def _unchanged(request: Request, _by: By, _manifest: bytes | None) -> Request:
    return request


def _identify(request: Request, _by: By, _manifest: bytes | None) -> Request:
    return replace(request, is_identified=True)


def _freeze(request: Request, _by: By, manifest: bytes | None) -> Request:
    if manifest is None or len(manifest) != MANIFEST_DIGEST_SIZE:
        raise ManifestDriftedError("A manifest is frozen with its SHA-256.")
    return replace(request, manifest=manifest)


def _thaw(request: Request, _by: By, _manifest: bytes | None) -> Request:
    return replace(request, manifest=None, approved_manifest=None, approved_by=None)


def _approve(request: Request, by: By, manifest: bytes | None) -> Request:
    if manifest is None or manifest != request.manifest:
        raise ManifestDriftedError("What you looked at is not what was frozen. Look again.")
    return replace(request, approved_manifest=manifest, approved_by=by.human)


def _begin(request: Request, _by: By, manifest: bytes | None) -> Request:
    if manifest is None or manifest != request.approved_manifest:
        raise ManifestDriftedError("What would be done is not what was approved.")
    return replace(request, has_begun=True)


_EFFECTS = {
    Action.VERIFY_IDENTITY: _identify,
    Action.FREEZE: _freeze,
    Action.RESCOPE: _thaw,
    Action.APPROVE: _approve,
    Action.BEGIN: _begin,
}
