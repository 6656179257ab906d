"""How times, durations and sizes read."""

from __future__ import annotations

from datetime import UTC, datetime

from django import template
from django.forms.boundfield import BoundField
from django.utils.html import format_html
from django.utils.safestring import SafeString

from auditvault.console.spans import instant

register = template.Library()
_MICROSECOND, _MILLISECOND, _SECOND, _MINUTE, _HOUR = (
    1_000,
    1_000_000,
    1_000_000_000,
    60_000_000_000,
    3_600_000_000_000,
)
_KIB = 1024


@register.filter
def kit(field: BoundField) -> SafeString:
    """A form's field as the kit wants it, marked where it is wrong."""
    wrong = {"aria-invalid": "true", "aria-describedby": f"{field.id_for_label}_error"}
    look = f"form-control{' is-invalid' if field.errors else ''}"
    return field.as_widget(attrs={"class": look, **(wrong if field.errors else {})})


@register.filter
def utc(value: datetime | str | None) -> SafeString | str:
    """An instant in UTC, to the second; a script adds the reader's own time on hover."""
    if not value:
        return "not known"
    at = datetime.fromisoformat(value) if isinstance(value, str) else value
    at = at.astimezone(UTC)
    return format_html(
        '<time datetime="{}">{}</time>',
        at.isoformat().replace("+00:00", "Z"),
        at.strftime("%Y-%m-%d %H:%M:%S UTC"),
    )


@register.filter
def from_ns(value: str) -> datetime | None:
    """An instant from decimal nanoseconds."""
    return instant(int(value)) if str(value).isdecimal() else None


@register.filter
def duration(nanoseconds: int | None) -> str:
    """A length of time in the unit that fits it."""
    if nanoseconds is None:
        return "not known"
    if abs(nanoseconds) >= _HOUR:
        return f"{nanoseconds // _HOUR} h {nanoseconds % _HOUR // _MINUTE} min"
    if abs(nanoseconds) >= _MINUTE:
        return f"{nanoseconds // _MINUTE} min {nanoseconds % _MINUTE // _SECOND} s"
    for unit, name in ((_SECOND, "s"), (_MILLISECOND, "ms"), (_MICROSECOND, "µs")):
        if abs(nanoseconds) >= unit:
            # Three significant digits; 999.7 would become 1e+03.
            amount = nanoseconds / unit
            return f"{amount:.0f} {name}" if abs(amount) >= 100 else f"{amount:.3g} {name}"  # noqa: PLR2004
    return f"{nanoseconds} ns" if nanoseconds else "0"


@register.filter
def size(count: int) -> str:
    """A number of bytes in the unit that fits it."""
    if count < _KIB:
        return f"{count} B"
    if count < _KIB * _KIB:
        return f"{count / _KIB:.1f} KiB"
    return f"{count / _KIB / _KIB:.1f} MiB"


@register.filter
def grouped(number: int | None) -> str:
    """A number with thin groups of three; a dash where it is not known."""
    return "-" if number is None else f"{number:,}".replace(",", "\u202f")
