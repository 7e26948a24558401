"""A server of chat completions on this machine that behaves as a test says."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

GOOD = '{"accuracy": 1, "fluency": 0.5}'


@dataclass
class Answer:
    """What the server does with one request."""

    text: str = GOOD
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    body: str | None = None
    """In place of a completion."""
    usage: Any = field(default_factory=lambda: {"prompt_tokens": 10, "completion_tokens": 5})


@dataclass
class Stub:
    """The server's address and what it was asked."""

    url: str
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    most: int = 0
    """Requests that were open at the same time."""

    @property
    def prompts(self) -> list[str]:
        return [request["messages"][0]["content"] for request in self.requests]


@contextmanager
def served(behave: Callable[[int, str], Answer]) -> Iterator[Stub]:
    """A server; `behave(number of the request, prompt)` says what it answers."""
    lock, active = threading.Lock(), [0]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                number = len(stub.requests)
                stub.requests.append(asked)
                stub.headers.append(dict(self.headers))
                active[0] += 1
                stub.most = max(stub.most, active[0])
            answer = behave(number, asked["messages"][0]["content"])
            time.sleep(answer.delay)
            with lock:
                active[0] -= 1
            completion = {"choices": [{"message": {"content": answer.text}}], "usage": answer.usage}
            body = (json.dumps(completion) if answer.body is None else answer.body).encode()
            try:
                self.send_response(answer.status)
                for name, value in {**answer.headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                pass  # the client has gone

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    stub = Stub(f"http://127.0.0.1:{server.server_port}/v1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
