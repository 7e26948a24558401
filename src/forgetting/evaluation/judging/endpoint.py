"""A judge behind an OpenAI-compatible address: `POST …/chat/completions`.

The key comes from an environment variable and goes nowhere but into the request's header: not to another address
(redirects are not followed), into no message and no file.
"""

from __future__ import annotations

import os
import random
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from forgetting.core.errors import RecipeError, RunError
from forgetting.evaluation.judging.judge import FailedError
from forgetting.evaluation.judging.kept import Reply

_NO_USE = {
    401: "refuses the key",
    403: "refuses the key",
    404: "knows no such address or model",
    405: "is no chat endpoint",
}
_AGAIN = {408, 409, 425, 429, 500, 502, 503, 504}
LONGEST_TIMEOUT = 86_400
"""Seconds of a day; sockets refuse what is far beyond."""
_LONGEST_PAUSE = 120.0
"""Seconds that a judge may ask to be left alone; one that asks for more is not asked further."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A model that a server judges with."""

    url: str
    """Up to `/v1`, as clients want it."""
    model: str
    key_variable: str = "OPENAI_API_KEY"
    """The environment variable that holds the key; where it is not set, none is sent."""
    at_once: int = 4
    timeout: float = 60.0
    """Seconds without a byte before a try counts as failed."""
    tries: int = 5
    """For each prompt, with pauses that double from `pause` seconds, or as long as the server says."""
    pause: float = 1.0
    max_tokens: int = 200
    """Of a reply."""
    _sessions: threading.local = field(default_factory=threading.local, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            import requests
        except ImportError as error:
            raise RecipeError("judge: asking an endpoint needs requests; pip install 'forgetting[judge]'") from error
        try:
            parts = urlsplit(self.url)
            requests.Request("POST", self.url).prepare()
            can_be = parts.scheme in {"http", "https"} and (parts.hostname or "").encode("idna")
        except ValueError:
            can_be = False
        if not can_be:
            raise RecipeError(
                "judge: the address must begin with http:// or https:// and name a host that can be, such as "
                "http://localhost:8000/v1"
            )
        if parts.username or parts.password or parts.query or parts.fragment:
            raise RecipeError(
                f"judge: the address holds more than a place; write it without, and a key into {self.key_variable}"
            )
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", self.key_variable):
            raise RecipeError("judge: key_variable names no environment variable; put the key into one, and name that")
        if not self.model.strip() or not self.model.isprintable():
            raise RecipeError(f"judge: {self.model!r} names no model; write the name under which the address serves it")
        if not 0 < self.timeout <= LONGEST_TIMEOUT:
            raise RecipeError(f"judge: timeout is {self.timeout:g}; write seconds above 0, at most {LONGEST_TIMEOUT:,}")

    @property
    def identity(self) -> str:
        """The model and where it is asked, with what shapes its replies."""
        return f"{self.model} at {self.url.rstrip('/')}, temperature 0, {self.max_tokens} tokens"

    def ask(self, prompt: str, stop: threading.Event) -> Reply:
        """The reply to one prompt, at temperature 0.

        Raises:
            FailedError: after all tries, or the server will not answer this one.
            RunError: it cannot be reached, refuses the key, does not know the model, or wants to be left alone.
        """
        import requests

        why: Exception = FailedError("was not asked")
        for number in range(self.tries):
            if stop.is_set():
                raise FailedError("the work ended before it was asked")
            wanted: float | None = None
            try:
                answer = self._posted(prompt)
                if answer.ok and not answer.is_redirect:
                    return _reply(answer)
                why = self._refusal(answer.status_code)
                if answer.status_code not in _AGAIN:
                    raise why
                wanted = _seconds(answer.headers.get("Retry-After"))
            except requests.exceptions.Timeout:
                why = FailedError(f"no answer within {self.timeout:g} s")
            except requests.exceptions.ConnectionError:
                why = RunError(f"judge: {self.place} cannot be reached; start the server, or name another address")
            except requests.exceptions.RequestException as error:
                why = FailedError(f"broken answer ({type(error).__name__})")
            if wanted is not None and wanted > _LONGEST_PAUSE:
                raise RunError(
                    f"judge: {self.place} asks to wait {wanted:.0f} s; start again then, its replies are kept"
                )
            if number + 1 < self.tries:
                stop.wait(self.pause * 2**number * random.uniform(0.75, 1.25) if wanted is None else wanted)
        raise why

    @property
    def place(self) -> str:
        """The server, without its path."""
        return urlsplit(self.url).netloc

    def _posted(self, prompt: str) -> Any:
        import requests

        if not hasattr(self._sessions, "session"):
            self._sessions.session = requests.Session()
        return self._sessions.session.post(
            f"{self.url.rstrip('/')}/chat/completions",
            json={
                "model": self.model,
                "messages": [{"role": "user", "content": prompt}],
                "temperature": 0,
                "max_tokens": self.max_tokens,
            },
            auth=self._signed,  # not a header: requests would put a password of ~/.netrc in its place
            timeout=self.timeout,
            allow_redirects=False,
        )

    def _signed(self, request: Any) -> Any:
        key = os.environ.get(self.key_variable, "").strip()
        if key:
            request.headers["Authorization"] = f"Bearer {key}"
        return request

    def _refusal(self, status: int) -> Exception:
        if status in _NO_USE:
            hint = f"; set {self.key_variable}" if status in {401, 403} else f"; it was asked for '{self.model}'"
            return RunError(f"judge: {self.place} {_NO_USE[status]} (status {status}){hint}")
        if 300 <= status < 400:
            return RunError(f"judge: {self.place} answers from another address (status {status}); name that one")
        return FailedError(f"status {status}")


def _reply(answer: Any) -> Reply:
    """The text of the first choice.

    Raises:
        FailedError: the server's answer holds none.
    """
    try:
        values = answer.json()
        text = values["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError):
        text, values = None, {}
    if not isinstance(text, str):
        raise FailedError("the answer holds no text of a reply")
    usage = values.get("usage")
    usage = usage if isinstance(usage, Mapping) else {}
    return Reply(text, _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")))


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _seconds(said: str | None) -> float | None:
    """What `Retry-After` asks for: seconds, or a date."""
    if said is None:
        return None
    try:
        return max(0.0, float(said))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(said).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None
