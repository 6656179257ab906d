"""What an operation asks of whoever calls it: declared once on its view, and looked at before anything else.

A declaration is all that stands between a path and everybody, so there is none that is left out: a view without one is
found by a system check, refused by the view's base, and fails a test. What a service asks for on top (a grant, a second
person, a purpose) is its own to say.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeVar

from auditvault.access.credentials import Credential, HumanRequiredError
from auditvault.core.policy.access import AccessDeniedError, Act

ATTRIBUTE = "demands"
"""Where a view has its demands: method in capitals -> Demand. HEAD is asked for what GET is."""

Who = Literal["anybody", "caller", "human", "second_factor", "session"]
_View = TypeVar("_View", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What one method of a view asks for."""

    who: Who
    """`anybody`: no credential. `caller`: a token. `human`: a person's. `second_factor`: proved a short while ago.
    `session`: somebody who is signed in; no token."""
    acts: tuple[Act, ...] = ()
    """One of these is enough; none: the credential alone is."""
    why: str = ""
    """Of what is open to anybody: why that is so."""
    in_service: bool = False
    """The service looks itself, and records a refusal with what was asked for."""
    answers: tuple[int, ...] = ()
    """Further statuses of refusals that callers must expect, as 404, for the schema."""

    def check(self, credential: Credential, now: datetime) -> None:
        """Raise AccessDeniedError, SeparationError, HumanRequiredError or SecondFactorRequiredError."""
        # A token cannot do it, whatever its roles and its strength are.
        if self.who == "session" and not credential.is_session:
            raise HumanRequiredError("This is done in a session: sign in.")
        self._check_acts(credential)
        if self.who == "human":
            credential.require_human()
        if self.who == "second_factor":
            credential.require_strong(now)

    def _check_acts(self, credential: Credential) -> None:
        refused: AccessDeniedError | None = None
        for act in self.acts:
            try:
                credential.role_for(act)
            except AccessDeniedError as error:
                refused = refused or error
            else:
                return
        if refused is not None:
            raise refused


def anybody(why: str) -> Demand:
    """Open to everybody, for that reason."""
    return Demand(who="anybody", why=why)


def needs(
    *acts: Act, who: Who = "caller", in_service: bool = False, answers: Collection[int] = ()
) -> Demand:
    """For whoever may do one of `acts`."""
    return Demand(who=who, acts=acts, in_service=in_service, answers=tuple(answers))


def signed_in(*acts: Act) -> Demand:
    """For whoever is signed in to the console, and may do one of `acts` at the place that they look at."""
    return Demand(who="session", acts=acts)


def demanding(**by_method: Demand) -> Callable[[_View], _View]:
    """Declare the demands of a view that is a function."""

    def declare(view: _View) -> _View:
        setattr(view, ATTRIBUTE, by_method)
        return view

    return declare


def demands_of(view: Any) -> Mapping[str, Demand] | None:
    """What a view declares, be it a function or the function that a class makes; None where it declares nothing."""
    made_by = getattr(view, "view_class", None) or getattr(view, "cls", None) or view
    found: Mapping[str, Demand] | None = getattr(made_by, ATTRIBUTE, None)
    return found
