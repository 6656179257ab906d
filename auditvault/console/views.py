"""The console's pages. Each checks what was asked, calls the service that the API calls, and shows the answer."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.http.response import HttpResponseBase

from auditvault.access.demands import signed_in
from auditvault.access.reading import find_headers, receipt, receipt_of_shown, trace_headers
from auditvault.console.base import PLACE_PARAMETER, ConsoleView
from auditvault.console.forms import FilterForm, PersonForm
from auditvault.console.proofs import view_of
from auditvault.console.spans import Bar, fields_of, line_of, waterfall
from auditvault.core.policy.access import Act
from auditvault.core.tlog.canonical import JsonValue
from auditvault.traces.selectors import Found, TraceNotFoundError

# Longer traces are shown a part at a time; a page stays small whatever an agent did.
SPANS_A_PAGE = 500
TABS = (
    ("summary", "Summary"),
    ("content", "Content"),
    ("proof", "Proof"),
    ("attributes", "Attributes"),
)
_TRACE_ID_HEX_DIGITS = 32


class InteractionsView(ConsoleView):
    """The list of interactions, newest first."""

    demands = {"GET": signed_in(Act.READ_HEADERS), "POST": signed_in(Act.READ_HEADERS)}
    section = "interactions"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        """The page that the address asks for; an address with empty filters is tidied first."""
        filters = FilterForm(request.GET)
        cursor = request.GET.get("cursor") or None
        place = self.place.key if len(self.places) > 1 else ""
        tidy = filters.address(**{PLACE_PARAMETER: place, "cursor": cursor or ""})
        if "" in request.GET.values() or (place and PLACE_PARAMETER not in request.GET):
            return HttpResponseRedirect(f"{request.path}?{tidy}" if tidy else request.path)
        return self._list(filters, PersonForm(), cursor)

    def post(self, request: HttpRequest) -> HttpResponse:
        """The same about one person, who stands in the body and nowhere else."""
        cursor = request.POST.get("cursor") or None
        return self._list(FilterForm(request.POST), PersonForm(request.POST), cursor)

    def _list(self, filters: FilterForm, person: PersonForm, cursor: str | None) -> HttpResponse:
        valid = filters.is_valid() and (not person.is_bound or person.is_valid())
        whose = person.cleaned_data if valid and person.is_bound else {}
        found = (
            self._found(filters, whose, cursor) if valid else Found(headers=[], next_cursor=None)
        )
        lines = [line_of(header) for header in found.headers]
        asks_person = any(whose.values())
        context = {
            "filters": filters,
            "person_form": person,
            "valid": valid,
            "lines": lines,
            "cursor": cursor,
            "next_cursor": found.next_cursor,
            "asked": filters.asked(),
            "asks_person": asks_person,
            "filtered": bool(filters.asked()) or asks_person,
            "address": filters.address(**{PLACE_PARAMETER: self.place.key}),
            "known": _known_values(found.headers),
            "endpoint": self.request.build_absolute_uri("/v1/traces"),
        }
        return self.page("console/interactions.html", context, status=200 if valid else 400)

    def _found(self, filters: FilterForm, whose: dict[str, Any], cursor: str | None) -> Found:
        return find_headers(
            credential=self.credential,
            region=self.place.region,
            query=filters.search(now=self.now, cursor=cursor),
            names={kind: name for kind, name in whose.items() if name},
            now=self.now,
        )


class TraceView(ConsoleView):
    """One trace as a waterfall, and one of its spans in detail."""

    demands = {"GET": signed_in(Act.READ_HEADERS)}
    section = "interactions"

    def get(self, request: HttpRequest, trace_id: str) -> HttpResponse:
        """The waterfall, the span that is asked for or the first, and the tab that is asked for."""
        nodes = trace_headers(
            credential=self.credential,
            region=self.place.region,
            trace_id=_trace_id(trace_id),
            now=self.now,
        )
        drawn = waterfall(nodes)
        position = _position(drawn.bars, request.GET.get("span"))
        parts = Paginator(range(len(nodes)), SPANS_A_PAGE)
        asked_part = request.GET.get("part") or position // SPANS_A_PAGE + 1
        part = parts.get_page(asked_part)
        tab = request.GET.get("tab")
        line = drawn.bars[position].line
        context = {
            "trace_id": trace_id.lower(),
            "drawn": drawn,
            "bars": [drawn.bars[index] for index in part.object_list],
            "part": part,
            "line": line,
            "bar": drawn.bars[position],
            "tabs": TABS,
            "tab": tab if tab in dict(TABS) else "summary",
            "fields": fields_of(nodes[position].header),
            "events": _events(nodes[position].header),
            "proof": view_of(self._receipt(UUID(line.id))),
            "resolve_endpoint": request.build_absolute_uri("/api/v1/resolve"),
        }
        return self.page("console/trace.html", context)

    def _receipt(self, record_id: UUID) -> dict[str, Any]:
        """Of a span on this page, whose look is recorded by now."""
        return receipt_of_shown(
            credential=self.credential, region=self.place.region, record_id=record_id
        )


class ReceiptView(ConsoleView):
    """A receipt as a file, for a check that needs neither this service nor trust in it."""

    demands = {"GET": signed_in(Act.READ_RECEIPT)}

    def get(self, _request: HttpRequest, interaction_id: UUID) -> HttpResponse:
        """The receipt; 202 until a checkpoint covers the entry."""
        body = receipt(
            credential=self.credential,
            region=self.place.region,
            record_id=interaction_id,
            now=self.now,
        )
        response = JsonResponse(
            body, status=200 if body["checkpoint"] else 202, json_dumps_params={"indent": 1}
        )
        response["Content-Disposition"] = f'attachment; filename="receipt-{interaction_id}.json"'
        return response


def _known_values(headers: list[dict[str, JsonValue]]) -> dict[str, list[str]]:
    """What the filters may be set to, as far as this page shows it."""
    lines = [line_of(header) for header in headers]
    names = ("model", "provider", "service", "environment", "operation")
    return {
        name: sorted({value for line in lines if (value := str(getattr(line, name)))})
        for name in names
    }


def _events(header: dict[str, JsonValue]) -> list[dict[str, Any]]:
    """The events of a span that the header names."""
    events = header.get("events")
    return (
        [event for event in events if isinstance(event, dict)] if isinstance(events, list) else []
    )


def _position(bars: list[Bar], record_id: str | None) -> int:
    """Where in the trace the record stands; the first where none is asked for, or it is not there."""
    return next((n for n, bar in enumerate(bars) if bar.line.id == record_id), 0)


def _trace_id(text: str) -> bytes:
    if len(text) != _TRACE_ID_HEX_DIGITS:
        raise TraceNotFoundError("There is no such trace.")
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise TraceNotFoundError("There is no such trace.") from error
