"""Asks a judge about many prompts: none twice, several at once, and nothing lost when it ends early."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Protocol

from forgetting.core.errors import RunError
from forgetting.core.progress import SILENT, Voice
from forgetting.evaluation.judging.kept import KeptReplies, Reply

IN_A_ROW = 5
"""Failures one after the other that end the work: the judge is down, and more of them would only take time."""


class FailedError(Exception):
    """One prompt got no reply, after all tries; others may."""


class Judge(Protocol):
    """Whoever can be asked: an endpoint, or a model in memory."""

    @property
    def identity(self) -> str:
        """Who is asked, and how: judges of one identity give the same replies."""
        ...

    @property
    def at_once(self) -> int:
        """How many prompts it may be asked at the same time."""
        ...

    def ask(self, prompt: str, stop: threading.Event) -> Reply:
        """The reply to one prompt; waits no longer once `stop` is set.

        Raises:
            FailedError: none came for this prompt.
            RunError: none can come for any.
        """
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """The replies to prompts, in their order, and what was done for them."""

    replies: tuple[str | None, ...]
    """None: the judge gave none; it is asked again the next time."""
    kept: int
    """Replies that were there already."""
    failed: int
    why: str
    """Why the last that failed did; empty if none did."""
    prompt_tokens: int | None
    """Of all replies, also those kept; None if one of them did not say."""
    reply_tokens: int | None
    seconds: float

    @property
    def cost(self) -> str:
        """Tokens, time and failures, for the log."""
        tokens = (
            f"{self.prompt_tokens:,} + {self.reply_tokens:,} tokens for all"
            if self.prompt_tokens is not None and self.reply_tokens is not None
            else "tokens not said by the judge"
        )
        failed = f"; {self.failed} got no reply ({self.why})" if self.failed else ""
        return f"{len(self.replies):,} prompts, {self.kept:,} answered before, {tokens}, {self.seconds:.1f} s{failed}"


def ask_all(judge: Judge, prompts: Sequence[str], kept: KeptReplies, voice: Voice = SILENT) -> Asked:
    """The judge's reply to every prompt. Each reply is written down before the next is asked for.

    Args:
        judge: asked `at_once` prompts at a time.
        prompts: equal ones are asked once.
        kept: replies from before, of this judge; new ones are added.
        voice: receives progress, and the cost at the end.

    Raises:
        RunError: the judge cannot be asked, or gave no reply at all or to `IN_A_ROW` prompts in a row. What it replied
            is kept.
    """
    began, keys = time.monotonic(), [_digest(prompt) for prompt in prompts]
    todo = {key: prompt for key, prompt in zip(keys, prompts, strict=True) if key not in kept}
    before = len({*keys}) - len(todo)
    why = _Asking(judge, kept, voice).run(todo) if todo else ""
    found = [kept.get(key) for key in dict.fromkeys(keys)]
    replies = [reply for reply in found if reply is not None]
    if prompts and not replies:
        raise RunError(f"judge: no prompt got a reply ({why}); mend that, then start again")
    costs = [
        None if any(count is None for count in counts) else sum(count or 0 for count in counts)
        for counts in ([r.prompt_tokens for r in replies], [r.reply_tokens for r in replies])
    ]
    texts = tuple(None if (reply := kept.get(key)) is None else reply.text for key in keys)
    done = Asked(texts, before, found.count(None), why, costs[0], costs[1], time.monotonic() - began)
    voice.say(f"judge: {done.cost}")
    return done


def _digest(prompt: str) -> str:
    return hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()


class _Asking:
    """One pass over the prompts that have no reply."""

    def __init__(self, judge: Judge, kept: KeptReplies, voice: Voice) -> None:
        self.judge, self.kept, self.voice = judge, kept, voice
        self.stop = threading.Event()
        self.failures, self.why = 0, ""

    def run(self, todo: dict[str, str]) -> str:
        pool, left, waiting = ThreadPoolExecutor(self.judge.at_once), iter(todo.items()), dict[Future[Reply], str]()
        done = 0
        try:
            while True:
                while len(waiting) < self.judge.at_once and (item := next(left, None)) is not None:
                    waiting[pool.submit(self.judge.ask, item[1], self.stop)] = item[0]
                if not waiting:
                    return self.why
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    self._take(waiting.pop(future), future)
                    done += 1
                    self.voice.progress(done, len(todo), "asking the judge")
        finally:
            self.stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            for future, key in waiting.items():
                if future.done() and not future.cancelled() and future.exception() is None:
                    self.kept.add(key, future.result())

    def _take(self, key: str, future: Future[Reply]) -> None:
        try:
            self.kept.add(key, future.result())
            self.failures = 0
        except FailedError as error:
            self.failures, self.why = self.failures + 1, str(error)
            if self.failures >= IN_A_ROW:
                raise RunError(
                    f"judge: {IN_A_ROW} prompts in a row got no reply ({error}); what it replied before is kept, start "
                    "again to go on"
                ) from error
