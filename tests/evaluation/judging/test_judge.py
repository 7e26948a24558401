"""Against a server on this machine: what it may do, and that no reply is lost or asked for twice."""

import logging
import time
from contextlib import contextmanager

import pytest

from forgetting.core.errors import RecipeError, RunError
from forgetting.core.progress import Voice
from forgetting.evaluation.judging.endpoint import Endpoint
from forgetting.evaluation.judging.judge import IN_A_ROW, ask_all
from forgetting.evaluation.judging.kept import kept_in
from tests.evaluation.judging.stub import GOOD, Answer, served

PROMPTS = [f"prompt {n}" for n in range(6)]


def judge_at(stub, **settings):
    return Endpoint(**{"url": stub.url, "model": "m", "pause": 0.001, "timeout": 5.0, "tries": 3, **settings})


@contextmanager
def asking(tmp_path, stub, **settings):
    said: list[str] = []
    judge = judge_at(stub, **settings)
    file = tmp_path / "replies.jsonl"

    def ask(prompts=PROMPTS):
        with kept_in(file, Voice(said.append)) as kept:
            return ask_all(judge, prompts, kept, Voice(said.append))

    ask.said, ask.file = said, file
    yield ask


def test_every_prompt_gets_its_own_reply_in_order(tmp_path):
    with served(lambda n, prompt: Answer(text=f"reply to {prompt}")) as stub, asking(tmp_path, stub) as ask:
        found = ask()
    assert found.replies == tuple(f"reply to {prompt}" for prompt in PROMPTS)
    assert (found.failed, found.prompt_tokens, found.reply_tokens) == (0, 60, 30)
    assert "6 prompts, 0 answered before, 60 + 30 tokens" in ask.said[-1]


def test_what_was_answered_is_not_asked_again_nor_are_equal_prompts(tmp_path):
    with served(lambda n, prompt: Answer()) as stub, asking(tmp_path, stub) as ask:
        ask([*PROMPTS[:4], *PROMPTS[:4]])
        assert len(stub.requests) == 4
        found = ask()
        assert len(stub.requests) == 6
    assert found.kept == 4
    assert found.replies == (GOOD,) * 6


def test_no_more_are_asked_at_once_than_allowed(tmp_path):
    with served(lambda n, _: Answer(delay=0.03)) as stub, asking(tmp_path, stub, at_once=2) as ask:
        ask()
        assert stub.most == 2


def test_a_busy_server_is_left_alone_as_long_as_it_says(tmp_path):
    def behave(n, _):
        return Answer(status=429, headers={"Retry-After": "0.3"}) if n == 0 else Answer()

    with served(behave) as stub, asking(tmp_path, stub) as ask:
        began = time.monotonic()
        assert ask(PROMPTS[:1]).failed == 0
        assert time.monotonic() - began >= 0.3
        assert len(stub.requests) == 2


def test_one_that_asks_for_an_hour_is_not_asked_further(tmp_path):
    with (
        served(lambda n, _: Answer(status=429, headers={"Retry-After": "3600"})) as stub,
        asking(tmp_path, stub) as ask,
        pytest.raises(RunError, match="asks to wait 3600 s"),
    ):
        ask(PROMPTS[:1])


def test_an_error_of_the_server_is_tried_again(tmp_path):
    with served(lambda n, _: Answer(status=500 if n < 2 else 200)) as stub, asking(tmp_path, stub) as ask:
        assert ask(PROMPTS[:1]).failed == 0
        assert len(stub.requests) == 3


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Answer(status=500), "status 500"),
        (Answer(status=400), "status 400"),
        (Answer(body="<html>"), "the answer holds no text of a reply"),
        (Answer(body='{"choices": []}'), "the answer holds no text of a reply"),
        (Answer(delay=1.5), "no answer within 0.5 s"),
    ],
)
def test_a_prompt_without_a_reply_is_missing_counted_and_asked_again_later(tmp_path, answer, why):
    broken = [True]

    def behave(n, prompt):
        return answer if broken[0] and prompt == "prompt 2" else Answer()

    with served(behave) as stub, asking(tmp_path, stub, timeout=0.5 if answer.delay else 20.0, tries=2) as ask:
        found = ask()
        assert [reply is None for reply in found.replies] == [n == 2 for n in range(6)]
        assert (found.failed, found.why) == (1, why)
        assert f"1 got no reply ({why})" in ask.said[-1]
        broken[0] = False
        before = len(stub.requests)
        assert ask().failed == 0
        assert {*stub.prompts[before:]} == {"prompt 2"}


def test_a_judge_that_is_down_ends_the_work_and_nothing_is_lost(tmp_path):
    prompts = [f"prompt {n}" for n in range(20)]
    up = [True]
    with (
        served(lambda n, _: Answer(status=200 if up[0] and n < 3 else 503)) as stub,
        asking(tmp_path, stub, at_once=1, tries=1) as ask,
    ):
        with pytest.raises(RunError, match=f"{IN_A_ROW} prompts in a row got no reply .status 503.") as ended:
            ask(prompts)
        assert "\n" not in str(ended.value)
        assert len(stub.requests) == 3 + IN_A_ROW
        assert len(ask.file.read_text().splitlines()) == 3


def test_an_address_without_a_server_is_said_in_a_line(tmp_path):
    with served(lambda n, _: Answer()) as stub:
        pass
    with asking(tmp_path, stub, tries=2) as ask, pytest.raises(RunError, match=r"127\.0\.0\.1:\d+ cannot be reached"):
        ask(PROMPTS)


@pytest.mark.parametrize(
    ("status", "said"),
    [(401, "refuses the key .*set MY_KEY"), (404, "knows no such address or model"), (302, "another")],
)
def test_what_no_other_try_can_mend_is_not_tried_again(tmp_path, status, said):
    answer = Answer(status=status, headers={"Location": "http://127.0.0.1:9/"})
    with (
        served(lambda n, _: answer) as stub,
        asking(tmp_path, stub, at_once=1, key_variable="MY_KEY") as ask,
        pytest.raises(RunError, match=said),
    ):
        ask()
    assert len(stub.requests) == 1


def test_the_key_is_sent_and_stands_nowhere_else(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("MY_KEY", "sk-secret-42")
    caplog.set_level(logging.DEBUG)
    with served(lambda n, _: Answer(status=200 if n < 3 else 401)) as stub:
        with asking(tmp_path, stub, at_once=1, key_variable="MY_KEY") as ask, pytest.raises(RunError) as ended:
            ask()
        assert stub.headers[0]["Authorization"] == "Bearer sk-secret-42"
        everything = [str(ended.value), caplog.text, *ask.said, repr(judge_at(stub, key_variable="MY_KEY"))]
        everything += [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any("sk-secret" in text for text in everything)


def test_without_a_key_none_is_sent(tmp_path, monkeypatch):
    monkeypatch.delenv("MY_KEY", raising=False)
    with served(lambda n, _: Answer()) as stub, asking(tmp_path, stub, key_variable="MY_KEY") as ask:
        ask(PROMPTS[:1])
    assert "Authorization" not in stub.headers[0]


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8000",
        "ftp://a/v1",
        "http://user:pw@a/v1",
        "http://a/v1?key=sk-1",
        "http://[",
        "http://a:x/v1",
        "http://a:99999999/v1",
        "http:///v1",
        f"http://{'a' * 64}/v1",
        "http://a\udc80/v1",
    ],
)
def test_an_address_with_a_key_or_without_a_scheme_is_refused_before_anything_is_sent(url):
    with pytest.raises(RecipeError, match="judge: the address") as refused:
        Endpoint(url=url, model="m")
    assert "pw" not in str(refused.value)
    assert "sk-1" not in str(refused.value)


@pytest.mark.parametrize("timeout", [0.0, float("nan"), float("inf"), 1e300])
def test_a_timeout_that_no_socket_takes_is_refused(timeout):
    with pytest.raises(RecipeError, match=r"judge: timeout is .* above 0, at most 86,400"):
        Endpoint(url="http://a/v1", model="m", timeout=timeout)


def test_a_key_in_place_of_its_variable_is_refused_and_not_said():
    with pytest.raises(RecipeError, match="judge: key_variable names no") as refused:
        Endpoint(url="http://a/v1", model="m", key_variable="sk-1")
    assert "sk-1" not in str(refused.value)


@pytest.mark.parametrize("model", ["", " ", "a\nb", "a\udc80"])
def test_a_model_without_a_name_is_refused(model):
    with pytest.raises(RecipeError, match=r"judge: .* names no model"):
        Endpoint(url="http://a/v1", model=model)


def test_a_judge_that_replies_to_nothing_is_an_error(tmp_path):
    with (
        served(lambda n, _: Answer(status=400)) as stub,
        asking(tmp_path, stub) as ask,
        pytest.raises(RunError, match=r"judge: no prompt got a reply \(status 400\)"),
    ):
        ask(PROMPTS[:2])


def test_a_line_that_was_cut_short_is_asked_for_again(tmp_path):
    with served(lambda n, _: Answer()) as stub, asking(tmp_path, stub) as ask:
        ask()
        text = ask.file.read_bytes()
        ask.file.write_bytes(text[:-20])
        assert ask().kept == 5
        assert ask().kept == 6
        assert len(stub.requests) == 7


@pytest.mark.parametrize(
    "damage",
    [
        lambda line: b'{"prompt": "a", "nothing": 1}',
        lambda line: line.replace(b"accuracy", b"accurncy"),
        lambda line: line[: len(line) // 2] + b"\xff" + line[len(line) // 2 :],
    ],
)
def test_a_damaged_reply_is_asked_for_again(tmp_path, damage):
    with served(lambda n, _: Answer()) as stub, asking(tmp_path, stub) as ask:
        ask()
        lines = ask.file.read_bytes().split(b"\n")
        ask.file.write_bytes(b"\n".join([damage(lines[0]), *lines[1:]]))
        found = ask()
        assert (found.kept, found.replies) == (5, (GOOD,) * 6)
        assert ask().kept == 6
        assert len(stub.requests) == 7
    assert f"{ask.file}: 1 of 6 lines are damaged; what they held is made again" in ask.said


def test_a_server_that_does_not_count_tokens_costs_an_unknown_number(tmp_path):
    with served(lambda n, _: Answer(usage=None)) as stub, asking(tmp_path, stub) as ask:
        assert ask().prompt_tokens is None
    assert "tokens not said by the judge" in ask.said[-1]


def test_kept_replies_hold_no_prompts(tmp_path):
    with served(lambda n, _: Answer()) as stub, asking(tmp_path, stub) as ask:
        ask(["a secret question"])
    assert "secret" not in ask.file.read_text()
