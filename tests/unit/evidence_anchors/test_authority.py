"""A real time-stamping authority on loopback, and every answer that must not be believed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rfc3161_client import decode_timestamp_response

from auditvault.evidence.anchors import authority as subject
from auditvault.evidence.anchors.authority import Authority, Stamp, check_time, read_roots, stamp
from tests.reference.timestamp_authority import (
    POLICY,
    TimestampAuthority,
    TimestampServer,
    reply,
    serving,
)

DATA = b"auditvault/super-root/1\n1\nAAAA\n"


@pytest.fixture(scope="module")
def tsa(tmp_path_factory: pytest.TempPathFactory) -> TimestampAuthority:
    return TimestampAuthority.make(tmp_path_factory.mktemp("tsa"))


@pytest.fixture(scope="module")
def expired(tmp_path_factory: pytest.TempPathFactory) -> TimestampAuthority:
    """Its certificate ended yesterday."""
    return TimestampAuthority.make(tmp_path_factory.mktemp("expired"), days=(-60, -1))


@pytest.fixture
def server(tsa: TimestampAuthority) -> Iterator[TimestampServer]:
    with serving(tsa) as found:
        yield found


@pytest.fixture
def known(tsa: TimestampAuthority, server: TimestampServer) -> Authority:
    return Authority(url=server.url, roots=read_roots(tsa.root_file))


def test_an_honest_stamp_is_taken(known: Authority) -> None:
    stamped = stamp(known, DATA)
    assert abs(stamped.gen_time - datetime.now(UTC)) < timedelta(minutes=1)


def test_an_auditors_own_program_verifies_what_was_taken(
    known: Authority, tsa: TimestampAuthority
) -> None:
    assert "Verification: OK" in tsa.verify(DATA, stamp(known, DATA).response)


def test_each_request_has_a_nonce_of_its_own(known: Authority, server: TimestampServer) -> None:
    answers = [decode_timestamp_response(stamp(known, DATA).response) for _ in range(2)]
    assert server.requests[0] != server.requests[1]
    assert answers[0].tst_info.nonce != answers[1].tst_info.nonce


def test_a_policy_that_is_the_authoritys_is_accepted(known: Authority) -> None:
    assert stamp(replace(known, policy=POLICY), DATA).response


def test_a_stamp_under_another_policy_is_refused(known: Authority) -> None:
    with pytest.raises(subject.StampNotVerifiedError, match="Policy"):
        stamp(replace(known, policy="1.2.3.4.9"), DATA)


def test_a_stamp_by_an_authority_under_another_root_is_refused(
    known: Authority, expired: TimestampAuthority
) -> None:
    with pytest.raises(subject.StampNotVerifiedError):
        stamp(replace(known, roots=read_roots(expired.root_file)), DATA)


def test_a_stamp_by_an_expired_certificate_is_refused(
    server: TimestampServer, expired: TimestampAuthority
) -> None:
    server.answering = lambda handler, request: reply(handler, expired.answer(request))
    with pytest.raises(subject.StampNotVerifiedError, match="expired"):
        stamp(Authority(url=server.url, roots=read_roots(expired.root_file)), DATA)


def test_an_expired_certificate_that_dates_itself_back_is_found_by_the_time(
    server: TimestampServer, expired: TimestampAuthority
) -> None:
    now = datetime.now(UTC)
    then = now - timedelta(days=5)
    server.answering = lambda handler, request: reply(handler, expired.answer_dated(request, then))
    stamped = stamp(Authority(url=server.url, roots=read_roots(expired.root_file)), DATA)
    with pytest.raises(subject.StampTimeError):
        check_time(stamped, asked_at=now, answered_at=now)


def test_a_certificate_for_something_else_is_refused(
    known: Authority, server: TimestampServer, tsa: TimestampAuthority
) -> None:
    server.answering = lambda handler, request: reply(handler, tsa.answer_for_mail(request))
    with pytest.raises(subject.StampNotVerifiedError, match="purpose"):
        stamp(known, DATA)


def test_a_stamp_over_other_data_is_refused(known: Authority, server: TimestampServer) -> None:
    stamp(known, b"something else")
    other = server.requests[-1]
    server.answering = lambda handler, _request: server.honest(handler, other)
    with pytest.raises(subject.OtherDataError):
        stamp(known, DATA)


def test_an_imprint_said_to_be_of_another_algorithm_is_refused(
    known: Authority, server: TimestampServer, tsa: TimestampAuthority
) -> None:
    """The last arc of SHA-256's identifier becomes that of SHA3-256; the 32 bytes stay."""
    sha256, sha3 = (
        bytes.fromhex("0609608648016503040201"),
        bytes.fromhex("0609608648016503040208"),
    )
    server.answering = lambda handler, request: reply(
        handler, tsa.answer_changed(request, sha256, sha3)
    )
    with pytest.raises(subject.OtherDataError):
        stamp(known, DATA)


def test_yesterdays_answer_to_the_same_question_is_refused(
    known: Authority, server: TimestampServer
) -> None:
    before = stamp(known, DATA).response
    server.answering = lambda handler, _request: reply(handler, before)
    with pytest.raises(subject.StampNotVerifiedError, match="Nonce"):
        stamp(known, DATA)


def test_a_changed_signature_is_refused(
    known: Authority, server: TimestampServer, tsa: TimestampAuthority
) -> None:
    def changed(request: bytes) -> bytes:
        answer = tsa.answer(request)
        return answer[:-1] + bytes([answer[-1] ^ 1])

    server.answering = lambda handler, request: reply(handler, changed(request))
    with pytest.raises(subject.StampNotVerifiedError):
        stamp(known, DATA)


def test_a_refusal_says_so(
    known: Authority, server: TimestampServer, tsa: TimestampAuthority
) -> None:
    server.answering = lambda handler, _request: reply(handler, tsa.answer(b"no request"))
    with pytest.raises(subject.StampRefusedError, match="status 2"):
        stamp(known, DATA)


@pytest.mark.parametrize("cut", [0, 1, 5, 100, -1])
def test_an_answer_that_is_cut_short_is_refused(
    known: Authority, server: TimestampServer, tsa: TimestampAuthority, cut: int
) -> None:
    server.answering = lambda handler, request: reply(handler, tsa.answer(request)[:cut])
    with pytest.raises(subject.AnswerMalformedError):
        stamp(known, DATA)


def test_an_answer_with_something_behind_it_is_refused(
    known: Authority, server: TimestampServer, tsa: TimestampAuthority
) -> None:
    server.answering = lambda handler, request: reply(handler, tsa.answer(request) + b"\0")
    with pytest.raises(subject.AnswerMalformedError):
        stamp(known, DATA)


def test_an_answer_of_another_type_is_refused(
    known: Authority, server: TimestampServer, tsa: TimestampAuthority
) -> None:
    server.answering = lambda handler, request: reply(
        handler, tsa.answer(request), kind="text/html"
    )
    with pytest.raises(subject.AnswerMalformedError, match="type"):
        stamp(known, DATA)


def test_an_answer_that_is_too_long_is_refused(known: Authority, server: TimestampServer) -> None:
    server.answering = lambda handler, _request: reply(handler, bytes(subject.MOST_BYTES + 1))
    with pytest.raises(subject.AnswerMalformedError, match="long"):
        stamp(known, DATA)


@pytest.mark.parametrize("status", [301, 400, 404, 429, 500, 503])
def test_another_status_is_no_answer(
    known: Authority, server: TimestampServer, tsa: TimestampAuthority, status: int
) -> None:
    server.answering = lambda handler, request: reply(handler, tsa.answer(request), status=status)
    with pytest.raises(subject.AuthorityUnavailableError, match=str(status)):
        stamp(known, DATA)


def test_an_authority_that_is_away_is_unavailable(tsa: TimestampAuthority) -> None:
    with serving(tsa) as gone:
        url = gone.url
    with pytest.raises(subject.AuthorityUnavailableError):
        stamp(Authority(url=url, roots=read_roots(tsa.root_file)), DATA)


def test_an_authority_that_is_slow_is_unavailable(
    known: Authority, server: TimestampServer
) -> None:
    server.answering = lambda handler, _request: handler.rfile.read(1) and None
    with pytest.raises(subject.AuthorityUnavailableError, match="time"):
        stamp(replace(known, seconds=0.3), DATA)


@pytest.mark.parametrize(
    "off", [timedelta(minutes=-5), timedelta(0), timedelta(minutes=5, seconds=10)]
)
def test_a_time_about_the_asking_is_plausible(off: timedelta) -> None:
    asked = datetime(2026, 11, 24, 10, tzinfo=UTC)
    answered = asked + timedelta(seconds=10)
    check_time(Stamp(response=b"", gen_time=asked + off), asked_at=asked, answered_at=answered)


@pytest.mark.parametrize(
    "off", [timedelta(minutes=-5, seconds=-1), timedelta(minutes=5, seconds=11), timedelta(days=1)]
)
def test_a_time_that_is_far_from_ours_is_not(off: timedelta) -> None:
    asked = datetime(2026, 11, 24, 10, tzinfo=UTC)
    answered = asked + timedelta(seconds=10)
    with pytest.raises(subject.StampTimeError):
        check_time(Stamp(response=b"", gen_time=asked + off), asked_at=asked, answered_at=answered)


def write_nothing(_path: Path) -> None:
    """Leave the file out."""


@pytest.mark.parametrize(
    "write",
    [write_nothing, lambda path: path.write_text(""), lambda path: path.write_text("no PEM")],
)
def test_roots_that_cannot_be_read_are_an_error(
    tmp_path: Path, write: Callable[[Path], object]
) -> None:
    write(tmp_path / "roots.pem")
    with pytest.raises(subject.AuthorityUnusableError):
        read_roots(tmp_path / "roots.pem")
