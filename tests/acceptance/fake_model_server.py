"""A model server that speaks enough of OpenAI's chat completions for a real client library.

It answers with fixed texts and fixed numbers of tokens, so that a test knows what a header must
say: an answer, a tool call, a stream of server-sent events, or an error. Which of these comes is
decided by the request alone.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "gpt-4o"
ANSWERING_MODEL = "gpt-4o-2024-08-06"
# Models that fail, by the status they fail with.
FAILING_MODELS = {"gpt-4o-limited": 429, "gpt-4o-broken": 500}
ANSWER = "Dear Ms Abernathy, your parcel leaves Gothenburg on Thursday."
STREAMED = ("Dear Ms Abernathy,", " the second", " parcel is", " in Trollhattan.")
TOOL_ARGUMENTS = '{"order": "the blue lamp of Ms Abernathy"}'
ERROR_TEXT = "Refused while answering Ms Abernathy of Gothenburg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one answer."""

    prompt: int
    completion: int

    def as_sent(self) -> dict[str, int]:
        """OpenAI's member `usage`."""
        total = self.prompt + self.completion
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": total,
        }


CHAT_USAGE = Usage(prompt=31, completion=12)
TOOL_USAGE = Usage(prompt=74, completion=14)
STREAM_USAGE = Usage(prompt=26, completion=19)


@contextmanager
def fake_model_server() -> Iterator[str]:
    """The base URL for a client, while the server runs in threads of this process."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:  # the name that http.server looks for
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status = FAILING_MODELS.get(request["model"])
        if status is not None:
            error = {"message": ERROR_TEXT, "type": "refused", "code": "refused", "param": None}
            self._answer(status, json.dumps({"error": error}).encode())
        elif request.get("stream"):
            self._answer(200, b"".join(_events()), content_type="text/event-stream")
        else:
            self._answer(200, json.dumps(_completion(request)).encode())

    def _answer(self, status: int, body: bytes, content_type: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


def _completion(request: dict[str, Any]) -> dict[str, Any]:
    asks_for_tool = request.get("tools") and request["messages"][-1]["role"] != "tool"
    usage = TOOL_USAGE if asks_for_tool else CHAT_USAGE
    return {
        "id": "chatcmpl-fixed",
        "object": "chat.completion",
        "created": 1_760_000_000,
        "model": ANSWERING_MODEL,
        "system_fingerprint": "fp_fixed",
        "choices": [_tool_choice() if asks_for_tool else _text_choice()],
        "usage": usage.as_sent(),
    }


def _text_choice() -> dict[str, Any]:
    message = {"role": "assistant", "content": ANSWER}
    return {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}


def _tool_choice() -> dict[str, Any]:
    call = {
        "id": "call_fixed",
        "type": "function",
        "function": {"name": "find_order", "arguments": TOOL_ARGUMENTS},
    }
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    return {"index": 0, "message": message, "finish_reason": "tool_calls", "logprobs": None}


def _events() -> Iterator[bytes]:
    """Server-sent events: the pieces of the answer, its end, its usage, and the word DONE."""
    for position, text in enumerate(STREAMED):
        delta = {"content": text} | ({"role": "assistant"} if position == 0 else {})
        yield _event([{"index": 0, "delta": delta, "finish_reason": None}])
    yield _event([{"index": 0, "delta": {}, "finish_reason": "stop"}])
    yield _event([], usage=STREAM_USAGE.as_sent())
    yield b"data: [DONE]\n\n"


def _event(choices: list[dict[str, Any]], **more: Any) -> bytes:
    chunk = {
        "id": "chatcmpl-fixed",
        "object": "chat.completion.chunk",
        "created": 1_760_000_000,
        "model": ANSWERING_MODEL,
        "choices": choices,
        **more,
    }
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"
