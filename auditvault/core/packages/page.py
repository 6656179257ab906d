"""The readable page of a package: one file, no script, nothing loaded. What was recorded is text, and never markup."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Your data</title>
<style>
body { font: 1rem/1.5 sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }
pre { background: #f3f3f3; overflow-wrap: anywhere; padding: .75rem; white-space: pre-wrap }
table { border-collapse: collapse } td, th { border: 1px solid #999; padding: .25rem .5rem; text-align: left }
</style>
</head>
<body>
<h1>Your data</h1>
"""
_WHY = {
    "erased": "erased",
    "gone": "no longer there",
    "hash_only": "only its hash was ever kept",
    "not_examined": "it could not be examined for other people's data",
    "too_large": "too large for this file; ask for it",
}


def page(members: Mapping[str, Any]) -> str:
    """The page of what `Package.members` gives."""
    headers = {header.get("id"): header for header in members["records"]}
    parts = [
        _HEAD,
        (
            f"<p>Request {_text(members['request'])}, region {_text(members['region'])}, made at "
            f"{_text(members['made_at'])}: {len(members['records'])} records, {len(members['contents'])} contents, "
            f"{len(members['looks'])} looks. What may be somebody else's is replaced, such as "
            "&lt;EMAIL_ADDRESS_1&gt;.</p>\n<h2>Contents</h2>\n"
        ),
        *(_content(each, headers.get(each["record"])) for each in members["contents"]),
        "<h2>Who looked, and why</h2>\n<p>Roles, not names.</p>\n",
        _looks(members["looks"]),
        "<h2>Records</h2>\n",
        *(f"<pre>{_text(json.dumps(each, indent=1))}</pre>\n" for each in members["records"]),
        "</body>\n</html>\n",
    ]
    return "".join(parts)


def _content(content: Mapping[str, Any], header: Mapping[str, Any] | None) -> str:
    started = f", {_text(header['started_at'])}" if header and "started_at" in header else ""
    said = (
        f"<p>Left out: {_text(_WHY[content['left_out']])}.</p>\n"
        if content["text"] is None
        else f"<pre>{_text(content['text'])}</pre>\n"
    )
    return f"<h3>{_text(content['role'])}{started}</h3>\n{said}"


def _looks(looks: Sequence[Mapping[str, Any]]) -> str:
    names = ("recorded_at", "what", "purpose_code", "role", "contents")
    rows = "".join(
        "<tr>" + "".join(f"<td>{_text(look.get(name))}</td>" for name in names) + "</tr>\n"
        for look in looks
    )
    titles = "<tr><th>When</th><th>What</th><th>Purpose</th><th>Role</th><th>Contents</th></tr>\n"
    return f"<table>\n{titles}{rows}</table>\n"


def _text(value: object) -> str:
    return escape("" if value is None else str(value))
