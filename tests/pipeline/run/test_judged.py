"""A recipe that names a judge, against a server on this machine."""

import json

import pytest

from forgetting.core.errors import RecipeError, RunError
from forgetting.pipeline.run.prepared import check_recipe
from forgetting.recipe import recipe_from
from forgetting.runs.results import Results
from tests.evaluation.judging.stub import Answer, served
from tests.pipeline.finished_run.test_ask import made

STAGES = [{"method": "graddiff", "adapter": {"rank": 2}}]


def judging(stub, **more):
    return {"url": stub.url, "model": "m", "limit": 3, **more}


def accuracy(evaluation):
    return {m.key: m.value for m in evaluation.measures if m.name == "judge_accuracy"}


def test_its_grades_are_measures_before_and_after(world, tmp_path):
    with served(lambda n, _: Answer()) as stub:
        folder = made(world, tmp_path, "one", STAGES, judge=judging(stub))
        assert 0 < len(stub.requests) <= 12
    run = Results.load(folder)
    assert accuracy(run.before)["forget/judge_accuracy"] == 1.0
    assert accuracy(run.after)["forget/judge_accuracy"] == 1.0
    assert len([*(tmp_path / ".cache" / "judgements").rglob("replies.jsonl")]) == 1


def test_a_judge_that_cannot_be_asked_ends_the_run_before_it_trains(world, tmp_path):
    with served(lambda n, _: Answer(status=401)) as stub, pytest.raises(RunError, match="refuses the key"):
        made(world, tmp_path, "one", STAGES, judge=judging(stub))
    assert not [*(tmp_path / "one" / "stages").rglob("history.jsonl")]


def test_an_address_that_cannot_be_one_is_refused_before_anything_is_loaded():
    judge = {"url": "http://a:x/v1", "model": "m"}
    with pytest.raises(RecipeError, match="judge: the address"):
        check_recipe(recipe_from({"model": "m", "stages": STAGES, "judge": judge}))


def test_a_redacted_run_refuses_to_send_its_texts():
    values = {"model": "m", "redact": True, "stages": STAGES, "judge": {"url": "http://a/v1", "model": "m"}}
    with pytest.raises(RecipeError, match=r"judge: the run is redacted.*judge\.redacted_texts: send"):
        recipe_from(values)
    assert recipe_from({**values, "judge": {**values["judge"], "redacted_texts": "send"}}).judge is not None


def test_a_redacted_run_that_may_send_them_keeps_no_replies(world, tmp_path):
    quoting = Answer(text='You wrote MARKER. {"accuracy": 1, "fluency": 1}')
    with served(lambda n, _: quoting) as stub:
        folder = made(world, tmp_path, "one", STAGES, redact=True, judge=judging(stub, redacted_texts="send"))
        prompt = json.loads(stub.prompts[0].rpartition("\n\n")[2])["question"]
    assert accuracy(Results.load(folder).after)["forget/judge_accuracy"] == 1.0
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix in {".json", ".jsonl", ".yaml"}]
    texts = [path.read_text(errors="replace") for path in files]
    assert not (tmp_path / ".cache" / "judgements").exists()
    assert not any("MARKER" in text or prompt in text for text in texts)
