"""Requests that are refused, each with a canary: malformed, too large, not allowed, not found."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from tests.acceptance.canaries import Canaries
from tests.acceptance.otlp_bodies import make_request, make_span

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
_BOMB_BYTES = 21 * 2**20
_HASH = "sha256:" + "0" * 64
PURPOSE = {"code": "INCIDENT", "case": "INC-5", "reason": "Looks at what a canary has left"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A request, and the statuses that it may be answered with."""

    name: str
    path: str
    expected: frozenset[int]
    token: str | None
    method: str = "POST"
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def malformed_traces(canaries: Canaries, sender: str) -> Iterator[Refused]:
    """OTLP requests that cannot be taken apart, or are not what they say."""
    whole = make_request([make_span("one", {"a": canaries.new("cut off")})]).SerializeToString()
    latin = make_request([make_span("one", {"a": canaries.new("not UTF-8") + "####"})])
    invalid = latin.SerializeToString().replace(b"####", b"\xff\xfe\xff\xfe")
    named = make_request([make_span(canaries.new("name not UTF-8") + "####", {})])
    invalid_name = named.SerializeToString().replace(b"####", b"\xff\xfe\xff\xfe")
    bomb = canaries.new("bomb").encode() * (_BOMB_BYTES // 20)
    cases = {
        "garbage": (PROTOBUF, None, b"\xff\xff" + canaries.new("garbage").encode(), 400),
        "cut off": (PROTOBUF, None, whole[:-3], 400),
        # An attribute refuses its span, a name the request: docs/spec/header.md.
        "not UTF-8": (PROTOBUF, None, invalid, 200),
        "name not UTF-8": (PROTOBUF, None, invalid_name, 400),
        "broken JSON": (JSON, None, f'{{"a": {canaries.new("broken JSON")}'.encode(), 400),
        "odd JSON": (JSON, None, json.dumps({"resourceSpans": canaries.new("odd")}).encode(), 400),
        "no gzip": (PROTOBUF, "gzip", canaries.new("no gzip").encode(), 400),
        "bomb": (PROTOBUF, "gzip", gzip.compress(bomb), 413),
        "too large": (PROTOBUF, None, bomb, 413),
        "unknown type": (f"text/{canaries.new('type')}", None, canaries.new("text").encode(), 415),
        "unknown coding": (PROTOBUF, canaries.new("coding"), b"", 415),
    }
    for name, (kind, coding, body, status) in cases.items():
        headers = {"Content-Type": kind} | ({"Content-Encoding": coding} if coding else {})
        yield Refused(
            name=name,
            path="/v1/traces",
            expected=frozenset({status}),
            token=sender,
            body=body,
            headers=headers,
        )


def refused_callers(canaries: Canaries, sender: str, reader: str) -> Iterator[Refused]:
    """Well-formed requests of somebody who may not make them."""
    body = make_request([make_span("one", {"a": canaries.new("no role")})]).SerializeToString()
    resolve = {"content_hash": _HASH, "purpose": {**PURPOSE, "reason": canaries.new("no role")}}
    kind = {"Content-Type": PROTOBUF}
    false_token = f"av_0123456789ab_{canaries.new('token')}"
    elsewhere = {**kind, "Auditvault-Region": canaries.new("region")}
    for name, token, status, headers in (
        ("no token", None, 401, kind),
        ("false token", false_token, 401, kind),
        ("no role", reader, 403, kind),
        ("no region", sender, 403, elsewhere),
    ):
        yield Refused(
            name=name,
            path="/v1/traces",
            expected=frozenset({status}),
            token=token,
            body=body,
            headers=headers,
        )
    yield Refused(
        name="may not resolve",
        path="/api/v1/resolve",
        token=sender,
        expected=frozenset({403}),
        body=json.dumps(resolve).encode(),
        headers={"Content-Type": JSON},
    )


def refused_questions(canaries: Canaries, reader: str) -> Iterator[Refused]:
    """Questions to the JSON interface that have no answer."""
    long = canaries.new("long filter") * 30
    purposes: dict[str, dict[str, str]] = {
        "code": {"code": canaries.new("purpose code")},
        "case": {"case": f"{canaries.address('case')} and more"},
        "long reason": {"reason": canaries.new("long reason") * 100},
    }
    bodies: dict[str, tuple[str, object]] = {
        "unknown member": ("/api/v1/traces/search", {"unheard_of": canaries.new("member")}),
        "long filter": ("/api/v1/traces/search", {"service": long}),
        "odd cursor": ("/api/v1/traces/search", {"cursor": canaries.new("cursor")}),
        "odd time": ("/api/v1/traces/search", {"started_from": canaries.new("time")}),
        "odd hash": ("/api/v1/resolve", {"content_hash": canaries.new("hash"), "purpose": PURPOSE}),
        "no object": ("/api/v1/resolve", [canaries.new("no object")]),
        **{
            f"purpose: {name}": (
                "/api/v1/resolve",
                {"content_hash": _HASH, "purpose": {**PURPOSE, **change}},
            )
            for name, change in purposes.items()
        },
    }
    for name, (path, body) in bodies.items():
        yield _question(name, path, json.dumps(body).encode(), reader)
    unopened = {**PURPOSE, "code": "BREAK_GLASS", "reason": canaries.new("reason refused")}
    body = json.dumps({"content_hash": _HASH, "purpose": unopened}).encode()
    asked = _question("purpose: not opened", "/api/v1/resolve", body, reader)
    yield replace(asked, expected=frozenset({403, 422}))
    broken = f'{{"content_hash": {canaries.new("broken question")}'.encode()
    yield _question("broken question", "/api/v1/resolve", broken, reader)


def _question(name: str, path: str, body: bytes, reader: str) -> Refused:
    return Refused(
        name=name,
        path=path,
        expected=frozenset({400, 422}),
        token=reader,
        body=body,
        headers={"Content-Type": JSON},
    )


def odd_paths(canaries: Canaries, reader: str, auditor: str) -> Iterator[Refused]:
    """Canaries where nobody may put personal data, and somebody will: in paths, queries and forms."""
    missing = frozenset({400, 404, 405, 415})
    for path, token in (
        (f"/api/v1/traces/{canaries.new('path of a trace')}", reader),
        (f"/api/v1/receipts/{canaries.new('path of a receipt')}", reader),
        (f"/api/v1/logs/1/entries?start={canaries.new('query of entries')}&end=2", auditor),
        (f"/{canaries.new('path')}?q={canaries.new('query')}", reader),
        (f"/v1/traces?{canaries.new('query of traces')}", reader),
    ):
        yield Refused(name=path, path=path, method="GET", expected=missing, token=token)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    body = f"username={canaries.address('user name')}&password={canaries.new('password')}".encode()
    signing = frozenset({200, 302, 400, 403, 404})
    yield Refused(
        name="form", path="/sign-in", expected=signing, token=None, body=body, headers=form
    )
    boundary = {"Content-Type": "multipart/form-data; boundary=x"}
    name = canaries.new("file name")
    file = canaries.new("file").encode() * 200_000
    part = f'--x\r\nContent-Disposition: form-data; name="f"; filename="{name}"\r\n\r\n'.encode()
    yield Refused(
        name="upload",
        path="/api/v1/resolve",
        expected=missing,
        token=reader,
        body=part + file + b"\r\n--x--\r\n",
        headers=boundary,
    )
