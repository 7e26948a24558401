"""`forget judge` and `forget judge-popularity` against a server on this machine."""

import json
from dataclasses import replace

import pytest

from tests.cli.command import command
from tests.evaluation.judging.stub import GOOD, Answer, served
from tests.report.fixtures import IHL_RUN, write_run


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "runs" / "one", replace(IHL_RUN, questions=8))


def asked(capsys, stub, *arguments, verb="judge"):
    return command(capsys, verb, *arguments, "--url", stub.url, "--model", "m", "--json")


def facts_of(prompt):
    return json.loads(prompt.rpartition("\n\n")[2])


def test_every_answer_of_every_model_is_graded_once(capsys, run):
    with served(lambda n, _: Answer()) as stub:
        code, out, err = asked(capsys, stub, run)
        first = len(stub.requests)
        again = asked(capsys, stub, run)
        assert len(stub.requests) == first
    assert (code, again[0]) == (0, 0), err
    found = json.loads(out)
    assert {*found["points"]} == {"before", "oracle", "after"}
    values = {f"{m['split']}/{m['name']}": m["value"] for m in found["points"]["after"]}
    assert values["forget/judge_accuracy"] == 1.0
    assert values["forget/judge_fluency"] == 0.5
    assert values["forget/judge_missing"] == 0.0
    assert found["prompt_tokens"] == 10 * first
    assert found["instructions"] == "forgetting-answer 1"
    (file,) = (run / "judgements").glob("*.json")
    assert json.loads(file.read_text())["points"] == found["points"]


def test_the_page_is_built_again_with_what_the_judge_said(capsys, run):
    with served(lambda n, _: Answer(text="It is fine." if n == 0 else GOOD)) as stub:
        code, out, _ = command(capsys, "judge", run, "--url", stub.url, "--model", "m", "--at-once", "1")
    assert code == 0
    assert f"report: {run / 'report.html'}" in out
    page = (run / "report.html").read_text()
    assert "What judges say" in page
    assert "Answers without a grade are left out, not counted as wrong" in page


def test_the_judge_is_given_question_reference_and_answer(capsys, run):
    with served(lambda n, _: Answer()) as stub:
        asked(capsys, stub, run, "--limit", "1", "--split", "forget")
    assert all({*facts_of(prompt)} == {"question", "reference", "answer"} for prompt in stub.prompts)
    assert len(stub.prompts) <= 3


def test_a_limit_takes_the_same_examples_of_every_model(capsys, run):
    with served(lambda n, _: Answer()) as stub:
        _, out, _ = asked(capsys, stub, run, "--limit", "2", "--split", "forget")
    counts = {
        point: [m["count"] for m in measures if m["name"] == "judge_missing"]
        for point, measures in json.loads(out)["points"].items()
    }
    assert counts == {"before": [2], "oracle": [2], "after": [2]}
    assert len({facts_of(prompt)["question"] for prompt in stub.prompts}) == 2


def test_replies_that_cannot_be_read_are_missing_and_counted(capsys, run):
    with served(lambda n, _: Answer(text="It is fine." if n % 2 else GOOD)) as stub:
        code, out, err = command(capsys, "judge", run, "--url", stub.url, "--model", "m", "--at-once", "1")
    assert code == 0
    assert "replies could not be read: the first holds no JSON object" in err + out
    assert "judge_missing" in out


def test_a_server_that_is_not_there_is_one_line_and_writes_no_result(capsys, run):
    with served(lambda n, _: Answer(status=401)) as stub:
        code, out, err = asked(capsys, stub, run)
    assert (code, out) == (2, "")
    assert err.strip().splitlines()[-1].startswith("forget: judge: 127.0.0.1:")
    assert "set OPENAI_API_KEY" in err
    assert not (run / "judgements").exists()


def test_a_redacted_run_sends_nothing(capsys, run):
    file = run / "results.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "redacted": True}))
    with served(lambda n, _: Answer()) as stub:
        code, _, err = asked(capsys, stub, run)
    assert code == 2
    assert "its texts are redacted" in err
    assert stub.requests == []


def test_an_unknown_split_is_named_with_those_that_are_there(capsys, run):
    with served(lambda n, _: Answer()) as stub:
        code, _, err = asked(capsys, stub, run, "--split", "forgot")
    assert code == 2
    assert "no answers in a split 'forgot'; it has forget" in err


@pytest.mark.parametrize("given", [[], ["--url", "http://a/v1"], ["--local", "lab", "--url", "http://a/v1"]])
def test_a_judge_has_to_be_named(capsys, run, given):
    code, _, err = command(capsys, "judge", run, *given)
    assert code == 2
    assert "name a judge" in err


def facts_file(tmp_path, count=40):
    rows = [{"question": f"What is {n}?", "answer": f"Thing {n}", "popularity": 10 + n} for n in range(count)]
    file = tmp_path / "facts.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def knows(prompt):
    """Chooses the fact of the larger number, which is the more popular one."""
    first, second = (int(facts_of(prompt)[name].rpartition(" ")[2]) for name in ("first", "second"))
    return Answer(text=json.dumps({"better_known": "first" if first > second else "second"}))


def values(out):
    return {m["name"]: m["value"] for m in json.loads(out)["measures"]}


def test_a_judge_that_knows_popularity_agrees_in_both_orders(capsys, tmp_path):
    with served(lambda n, prompt: knows(prompt)) as stub:
        code, out, err = asked(capsys, stub, facts_file(tmp_path), verb="judge-popularity")
    assert code == 0, err
    assert len(stub.requests) == 40
    found = values(out)
    assert found == pytest.approx(
        {
            "kappa_between_orders": 1.0,
            "first_chosen": 0.5,
            "kappa_with_popularity": 1.0,
            "auc_of_popularity": 1.0,
            "missing": 0.0,
        }
    )


def test_a_judge_that_always_takes_the_first_agrees_with_nothing(capsys, tmp_path):
    with served(lambda n, _: Answer(text='{"better_known": "first"}')) as stub:
        _, out, _ = asked(capsys, stub, facts_file(tmp_path), verb="judge-popularity")
    found = values(out)
    assert found["first_chosen"] == 1.0
    assert found["kappa_between_orders"] == pytest.approx(0.0)
    assert found["kappa_with_popularity"] == pytest.approx(0.0, abs=1e-9)
    assert found["auc_of_popularity"] == 0.5


def test_facts_of_one_popularity_are_refused(capsys, tmp_path):
    file = tmp_path / "facts.jsonl"
    file.write_text("".join(json.dumps({"question": f"q{n}", "answer": "a", "popularity": 3}) + "\n" for n in range(4)))
    with served(lambda n, _: Answer()) as stub:
        code, _, err = asked(capsys, stub, file, verb="judge-popularity")
    assert code == 2
    assert "no two facts differ in popularity" in err
    assert stub.requests == []


def test_a_model_on_this_machine_judges_too_and_what_it_cannot_say_is_missing(capsys, run, world):
    """A model that was never taught to grade: nothing is made up out of its noise."""
    arguments = ("judge", run, "--local", world / "model", "--split", "forget", "--limit", "2", "--json")
    code, out, err = command(capsys, *arguments)
    assert code == 0, err
    found = {m["name"]: m for m in json.loads(out)["points"]["after"]}
    assert found["judge_missing"]["value"] == 2.0
    assert found["judge_accuracy"]["value"] is None
    assert "the judge graded none of 2 answers" in found["judge_accuracy"]["reason"]
