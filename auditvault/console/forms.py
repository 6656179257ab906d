"""What can be asked of the list of interactions.

The filters stand in the page's address, so that it can be kept and passed on. Who an interaction is about does not:
`PersonForm` is sent by POST only, and its values stand in no address, session, log or cookie.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django import forms

from auditvault.traces.selectors import Search

PAGE_SIZE = 50
EQUAL = ("status", "operation", "model", "provider", "service", "environment")
_TRACE_ID = r"^\s*[0-9a-fA-F]{32}\s*$"
_LONGEST = 256
_RANGES = {
    "1h": ("Last hour", timedelta(hours=1)),
    "24h": ("Last 24 hours", timedelta(hours=24)),
    "7d": ("Last 7 days", timedelta(days=7)),
    "30d": ("Last 30 days", timedelta(days=30)),
}
_INSTANT_FORMATS = ("%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S")


class _Kit(forms.Form):
    """A form whose fields look as the kit wants them, and say where they are wrong."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            chosen = isinstance(field.widget, forms.Select)
            look = ["form-select" if chosen else "form-control"]
            if self.is_bound and name in self.errors:
                look.append("is-invalid")
            field.widget.attrs["class"] = " ".join(look)


class _Instant(forms.DateTimeField):
    """A date and time that is meant in UTC."""

    def __init__(self, label: str) -> None:
        # datetime-local has no zone of its own: the label says which one is meant.
        widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
        super().__init__(label=label, required=False, widget=widget, input_formats=_INSTANT_FORMATS)


class FilterForm(_Kit):
    """The filters of the address. An empty one filters nothing."""

    range = forms.ChoiceField(
        label="Time",
        required=False,
        choices=[("", "Any time"), *((key, label) for key, (label, _) in _RANGES.items())],
    )
    status = forms.ChoiceField(
        label="Status",
        required=False,
        choices=[("", "Any status"), ("ok", "ok"), ("error", "error"), ("unset", "not said")],
    )
    model = forms.CharField(label="Model", required=False, max_length=_LONGEST)
    provider = forms.CharField(label="Provider", required=False, max_length=_LONGEST)
    service = forms.CharField(label="Service", required=False, max_length=_LONGEST)
    environment = forms.CharField(label="Environment", required=False, max_length=_LONGEST)
    operation = forms.CharField(label="Operation", required=False, max_length=_LONGEST)
    trace = forms.RegexField(
        _TRACE_ID,
        label="Trace id",
        required=False,
        error_messages={"invalid": "A trace id is 32 hexadecimal digits."},
    )
    started_from = _Instant("From (UTC)")
    started_before = _Instant("Before (UTC)")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("model", "provider", "service", "environment", "operation"):
            self.fields[name].widget.attrs |= {"list": f"known-{name}", "placeholder": "any"}
        self.fields["trace"].widget.attrs |= {"placeholder": "any", "spellcheck": "false"}
        for field in self.fields.values():
            field.widget.attrs.setdefault("autocomplete", "off")

    def clean(self) -> dict[str, Any]:
        """Refuse an interval that holds nothing."""
        given = super().clean() or {}
        start, end = given.get("started_from"), given.get("started_before")
        if start and end and start >= end:
            self.add_error("started_before", "This is not after the beginning.")
        return given

    def asked(self) -> dict[str, str]:
        """The filters that are set, as they stand in an address, in the form's order."""
        values = ((name, str(self.data.get(name, "")).strip()) for name in self.fields)
        return {name: value for name, value in values if value}

    def address(self, **more: str) -> str:
        """The query of an address that asks the same."""
        return urlencode({**{name: value for name, value in more.items() if value}, **self.asked()})

    def search(self, *, now: datetime, cursor: str | None) -> Search:
        """The question for the service; the form must be valid."""
        given = self.cleaned_data
        start, end = given["started_from"], given["started_before"]
        if given["range"]:
            earliest = now - _RANGES[given["range"]][1]
            start = max(start, earliest) if start else earliest
        return Search(
            started_from=start.astimezone(UTC) if start else None,
            started_before=end.astimezone(UTC) if end else None,
            trace_id=bytes.fromhex(given["trace"].strip()) if given["trace"] else None,
            equal={name: given[name] for name in EQUAL if given[name]},
            limit=PAGE_SIZE,
            cursor=cursor,
        )


class PersonForm(_Kit):
    """Whose interactions. Personal data: sent by POST, made into a keyed tag by the service, kept nowhere."""

    user = forms.CharField(label="User id", required=False, max_length=_LONGEST)
    session = forms.CharField(label="Session id", required=False, max_length=_LONGEST)
    email = forms.CharField(label="E-mail", required=False, max_length=_LONGEST)
    phone = forms.CharField(label="Phone", required=False, max_length=_LONGEST)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.widget.attrs |= {"autocomplete": "off", "spellcheck": "false"}
