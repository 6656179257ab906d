"""The load: senders in processes of their own, with bodies made and compressed beforehand.

A sender keeps one HTTP/1.1 connection with one request under way, as OpenTelemetry exporters do.
Bodies are made before the clock starts, so a request costs a sender little more than two system
calls. Every trace id is used once; a target that does not look at ids may be sent the bodies again.
"""

from __future__ import annotations

import gzip
import http.client
import itertools
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from tests.benchmarks.traces import make_bodies

_GZIP_LEVEL = 6  # what zlib's users get who say nothing
_TIMEOUT_SECONDS = 60.0
_STOP_SECONDS = 10.0


class LoadError(Exception):
    """A request was not answered with success: the run says nothing about speed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepare:
    """Make bodies; those of the batch size before are forgotten."""

    batch: int  # spans in a body
    bodies: int
    seed: int  # a seed gives the same bodies, another one other trace ids


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """Send for `seconds`, or until the bodies are used up."""

    port: int  # on the loopback address
    token: str
    seconds: float
    repeat: bool = False  # start again with the first body when all are used up


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """What one sender did. Instants are of the system's monotonic clock."""

    spans: int  # acknowledged
    latencies: Sequence[float]  # seconds, one a request
    body_bytes: int  # as sent, compressed
    began_at: float
    ended_at: float


class Senders:
    """A fixed number of sender processes; a context manager that ends them."""

    def __init__(self, count: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipes: list[Connection[Any, Any]] = []
        self._processes = []
        for _ in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs,), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)

    @property
    def pids(self) -> list[int]:
        """Their process ids."""
        return [process.pid for process in self._processes if process.pid is not None]

    def prepare(self, *, batch: int, spans: int, seed: int) -> None:
        """Make bodies for at least `spans` spans, divided among the senders."""
        bodies = -(-spans // (batch * len(self._pipes)))
        for place, pipe in enumerate(self._pipes):
            pipe.send(Prepare(batch=batch, bodies=bodies, seed=seed + place))
        self._answers()

    def run(self, run: Run) -> list[Sent]:
        """Let all send at once; raises LoadError where a request fails."""
        for pipe in self._pipes:
            pipe.send(run)
        answers = self._answers()
        for answer in answers:
            if isinstance(answer, LoadError):
                raise answer
        return [answer for answer in answers if isinstance(answer, Sent)]

    def _answers(self) -> list[object]:
        try:
            return [pipe.recv() for pipe in self._pipes]
        except EOFError as error:
            raise LoadError("a sender ended unexpectedly") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for pipe in self._pipes:
            pipe.close()  # the end of its input ends a sender
        for process in self._processes:
            process.join(_STOP_SECONDS)
            if process.is_alive():
                process.kill()
                process.join()


class _Sender:
    def __init__(self) -> None:
        self._batch = 0
        self._bodies: list[bytes] = []
        self._unsent = 0  # the first body that was not sent yet by a run without repetition

    def prepare(self, order: Prepare) -> None:
        # One by one, so that only compressed bodies are held.
        made = (
            make_bodies(order.batch, 1, order.seed * 1_000_003 + n) for n in range(order.bodies)
        )
        self._bodies = [gzip.compress(body, _GZIP_LEVEL) for (body,) in made]
        self._batch, self._unsent = order.batch, 0

    def run(self, order: Run) -> Sent:
        headers = {
            "Content-Type": "application/x-protobuf",
            "Content-Encoding": "gzip",
            "Authorization": f"Bearer {order.token}",
        }
        latencies: list[float] = []
        spans = size = 0
        connection = http.client.HTTPConnection("127.0.0.1", order.port, timeout=_TIMEOUT_SECONDS)
        connection.connect()
        began_at = time.monotonic()
        for body in self._chosen(repeat=order.repeat):
            sent_at = time.monotonic()
            connection.request("POST", "/v1/traces", body, headers)
            response = connection.getresponse()
            answer = response.read()
            now = time.monotonic()
            spans += self._batch - _rejected(response.status, answer)
            size += len(body)
            latencies.append(now - sent_at)
            if now - began_at >= order.seconds:
                break
        ended_at = time.monotonic()
        connection.close()
        return Sent(
            spans=spans,
            latencies=latencies,
            body_bytes=size,
            began_at=began_at,
            ended_at=ended_at,
        )

    def _chosen(self, *, repeat: bool) -> Iterator[bytes]:
        if repeat:
            yield from itertools.cycle(self._bodies)
        while self._unsent < len(self._bodies):
            self._unsent += 1
            yield self._bodies[self._unsent - 1]


def _rejected(status: int, answer: bytes) -> int:
    if status != http.client.OK:
        raise LoadError(f"a request was answered with {status}: {answer[:200]!r}")
    if not answer:
        return 0
    return int(ExportTraceServiceResponse.FromString(answer).partial_success.rejected_spans)


def _serve(pipe: Connection[Any, Any]) -> None:
    """A sender's life: orders in, answers out, until the other end is closed."""
    sender = _Sender()
    while True:
        try:
            order = pipe.recv()
        except (EOFError, KeyboardInterrupt):
            return
        try:
            if isinstance(order, Prepare):
                sender.prepare(order)
                pipe.send(None)
            else:
                pipe.send(sender.run(order))
        except LoadError as error:
            pipe.send(error)
        except (OSError, http.client.HTTPException) as error:
            pipe.send(LoadError(f"the connection failed: {error!r}"))
