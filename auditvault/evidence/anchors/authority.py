"""A time-stamping authority (RFC 3161): ask it, and believe nothing that does not verify.

Rules kept: docs/spec/timestamp.md section 3, in that order; each has a code of its own. The clock that the stamp's time
is compared with is read by the caller. Signature and chain are checked by rfc3161-client, at the stamp's own time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from rfc3161_client import (
    HashAlgorithm,
    PKIStatus,
    TimeStampRequest,
    TimestampRequestBuilder,
    TimeStampResponse,
    VerificationError,
    Verifier,
    VerifierBuilder,
    decode_timestamp_response,
)

from auditvault.core.errors import AuditvaultError
from auditvault.evidence.anchors.exchange import Answer, ExchangeError, post

SECONDS = 20.0
MOST_BYTES = 64 * 1024
# What a stamp's time may differ from ours by, before the asking and after the answer.
TOLERANCE = timedelta(minutes=5)
_SHA256 = x509.ObjectIdentifier("2.16.840.1.101.3.4.2.1")
_OK = 200
_HEADERS = {
    "Content-Type": "application/timestamp-query",
    "Accept": "application/timestamp-reply",
    "User-Agent": "auditvault",
}
_OPENSSL_REASON = re.compile(r'"Verify error: ([a-zA-Z -]{1,80})"')
_REPLY = "application/timestamp-reply"


class TimestampError(AuditvaultError):
    """There is no stamp; every subclass has its own code."""

    code = "timestamp_failed"


class AuthorityUnusableError(TimestampError):
    """The certificates to trust cannot be read."""

    code = "timestamp_authority_unusable"


class AuthorityUnavailableError(TimestampError):
    """The authority does not answer, not in time, or not with success."""

    code = "timestamp_authority_unavailable"


class AnswerMalformedError(TimestampError):
    """The answer is too long, of another type, or no TimeStampResp."""

    code = "timestamp_answer_malformed"


class StampRefusedError(TimestampError):
    """The authority says no."""

    code = "timestamp_refused"


class OtherDataError(TimestampError):
    """The stamp is over something else than was asked for."""

    code = "timestamp_of_other_data"


class StampNotVerifiedError(TimestampError):
    """Signature, certificates, nonce or policy are not what they must be."""

    code = "timestamp_not_verified"


class StampTimeError(TimestampError):
    """The stamp's time is far from ours."""

    code = "timestamp_time_implausible"


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """Where an authority is, and whom to trust in its name."""

    url: str
    roots: tuple[x509.Certificate, ...]
    """Certificates that its chain may end in; at least one."""
    policy: str | None = None
    """The policy, a dotted OID, that a stamp must be under; None for any."""
    seconds: float = SECONDS
    """From connecting to the last byte."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """An answer that verified."""

    response: bytes
    """TimeStampResp in DER, to the byte as it came."""
    gen_time: datetime
    """When the authority says that it stamped; UTC."""


def read_roots(path: Path) -> tuple[x509.Certificate, ...]:
    """The certificates of a PEM file, one or more; raises AuthorityUnusableError."""
    try:
        return tuple(x509.load_pem_x509_certificates(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise AuthorityUnusableError(
            "AUDITVAULT_TSA_CA_FILE is not a file of certificates in PEM."
        ) from error


def stamp(authority: Authority, data: bytes) -> Stamp:
    """Have `data` stamped, under SHA-256 and a fresh nonce; the stamp's time is still to be checked.

    Raises:
        TimestampError: a subclass for each rule of the specification that was broken.
    """
    request = TimestampRequestBuilder().data(data).hash_algorithm(HashAlgorithm.SHA256).build()
    answer = _ask(authority, request.as_bytes())
    response = _decode(answer)
    _check(authority, request, response)
    return Stamp(response=answer.body, gen_time=response.tst_info.gen_time.astimezone(UTC))


def check_time(stamped: Stamp, *, asked_at: datetime, answered_at: datetime) -> None:
    """Raise StampTimeError where the stamp's time is not about when it was asked for."""
    if not asked_at - TOLERANCE <= stamped.gen_time <= answered_at + TOLERANCE:
        raise StampTimeError("The stamp's time and the database's clock differ by minutes.")


def _ask(authority: Authority, request: bytes) -> Answer:
    try:
        answer = post(
            authority.url,
            request,
            headers=_HEADERS,
            seconds=authority.seconds,
            most_bytes=MOST_BYTES,
        )
    except ExchangeError as error:
        raise AuthorityUnavailableError(error.message) from error
    if answer.status != _OK:
        raise AuthorityUnavailableError(f"The authority answers with status {answer.status}.")
    if answer.content_type != _REPLY:
        raise AnswerMalformedError("The answer is not of the type application/timestamp-reply.")
    if len(answer.body) > MOST_BYTES:
        raise AnswerMalformedError("The answer is too long.")
    return answer


def _decode(answer: Answer) -> TimeStampResponse:
    try:
        return decode_timestamp_response(answer.body)
    except ValueError as error:
        raise AnswerMalformedError("The answer is not a TimeStampResp in DER.") from error


def _check(authority: Authority, request: TimeStampRequest, response: TimeStampResponse) -> None:
    if response.status != PKIStatus.GRANTED:
        raise StampRefusedError(f"The authority refuses: status {response.status}.")
    try:
        imprint = response.tst_info.message_imprint
        # The library compares the bytes and not the algorithm that they are said to come from.
        same = imprint.message == request.message_imprint.message
        if imprint.hash_algorithm != _SHA256 or not same:
            raise OtherDataError("The stamp is over something else.")
        _verifier(authority, request).verify(response, request.message_imprint.message)
    except VerificationError as error:
        raise StampNotVerifiedError(f"The stamp does not verify: {_reason(error)}.") from error
    except ValueError as error:
        raise AnswerMalformedError("The answer has a part that cannot be read.") from error


def _reason(error: VerificationError) -> str:
    """The library's words, or the one phrase that matters in a dump of OpenSSL's error stack."""
    found = _OPENSSL_REASON.search(str(error))
    if found is not None:
        return found[1]
    return "signature or certificates" if "ErrorStack" in str(error) else str(error).rstrip(".")


def _verifier(authority: Authority, request: TimeStampRequest) -> Verifier:
    policy = authority.policy
    return VerifierBuilder(
        policy_id=None if policy is None else x509.ObjectIdentifier(policy),
        roots=list(authority.roots),
        nonce=request.nonce,
    ).build()
