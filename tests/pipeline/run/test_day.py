"""A chat template that writes today's date: one run has one day, and what is cached is what was read."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest
import torch
import transformers.utils.chat_template_utils as templates
from safetensors.torch import load_file

import forgetting.data.formatting as encoding
from forgetting.core.errors import RunError
from forgetting.core.folder import MARK
from forgetting.core.progress import Voice
from forgetting.models.loading import load_model, save_model
from forgetting.pipeline.finished_run.models import recipe_of
from forgetting.pipeline.one_model.evaluate import evaluate
from forgetting.pipeline.run.run import run
from forgetting.recipe import load_recipe
from forgetting.runs.results import Results
from forgetting.training.loop import Trainer
from tests.conftest import write_rows
from tests.data.tokenizers import byte_level
from tests.models.tiny import tiny_model

_TURNS = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PLAIN_CALL = "<|im_start|>system\nToday is {{ strftime_now('%d %b %Y') }}.<|im_end|>\n" + _TURNS
HIDDEN_CALL = "{% set how = '%d %b %Y' %}<|im_start|>system\nToday is {{ strftime_now(how) }}.<|im_end|>\n" + _TURNS
FIRST, OTHER = datetime.date(2027, 3, 9), datetime.date(2027, 3, 10)


def _world(folder: Path, template: str) -> list[str]:
    tokenizer = byte_level(bos=False)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.chat_template = template
    model = tiny_model("llama", vocab=len(tokenizer), eos_token_id=tokenizer.eos_token_id, max_position_embeddings=256)
    save_model(model, tokenizer, folder / "model")
    people = ("Ada", "Bo", "Cy", "Di")
    write_rows(folder / "forget.jsonl", [{"question": f"Who is {p}?", "answer": f"{p} is a poet."} for p in people])
    write_rows(folder / "retain.jsonl", [{"question": f"Where is {p}?", "answer": f"{p} is at sea."} for p in people])
    return [
        f"model={folder / 'model'}",
        f"data.forget={folder / 'forget.jsonl'}",
        f"data.retain={folder / 'retain.jsonl'}",
        "method=graddiff",
        "adapter.rank=2",
        "duration=4 steps",
        "batch_size=2",
        "learning_rate=1e-3",
        "checkpoint_every=1 steps",
        "evaluate_every=null",
        "keep=last",
        "max_new_tokens=2",
    ]


@pytest.fixture
def today(monkeypatch: pytest.MonkeyPatch):
    """Sets the day for this package's clock and that of transformers' templates."""

    def be(day: datetime.date) -> None:
        class Day(datetime.date):
            @classmethod
            def today(cls):
                return day

        class Now(datetime.datetime):
            @classmethod
            def now(cls, tz=None):
                return datetime.datetime.combine(day, datetime.time(12))

        monkeypatch.setattr(encoding.datetime, "date", Day)
        monkeypatch.setattr(templates, "datetime", Now)

    return be


def _interrupted(recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    train = Trainer._step

    def stop(self: Trainer, step: int) -> None:
        if step == 2:
            raise KeyboardInterrupt
        train(self, step)

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "_step", stop)
        with pytest.raises(KeyboardInterrupt):
            run(recipe, report=False)


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model" / "adapter_model.safetensors")


def _before(folder: Path) -> list[float]:
    lines = (folder / "records" / "before.jsonl").read_text().splitlines()
    return [r["score"]["logp"] for r in map(json.loads, lines) if r["split"] == "forget"]


def test_a_run_that_goes_on_on_another_day_keeps_its_own(tmp_path: Path, today, monkeypatch) -> None:
    given = _world(tmp_path, PLAIN_CALL)
    today(FIRST)
    whole = run(load_recipe("unlearn", [*given, "name=whole", f"output={tmp_path / 'a'}"]), report=False)
    stopped = load_recipe("unlearn", [*given, "name=stopped", f"output={tmp_path / 'b'}"])
    _interrupted(stopped, monkeypatch)
    today(OTHER)
    said: list[str] = []
    resumed = run(stopped, report=False, voice=Voice(said.append))

    assert all(torch.equal(w, _weights(resumed)[name]) for name, w in _weights(whole).items())
    assert any("writes a date: 2027-03-09" in line for line in said)
    results = Results.load(resumed)
    assert results.environment["date"] == "2027-03-09" and results.recipe["format"]["date"] == "2027-03-09"
    assert recipe_of(resumed).format.date == FIRST  # asked, audited and analysed under its own day


def test_the_initial_model_is_measured_anew_where_it_reads_another_day(tmp_path: Path, today) -> None:
    given = [*_world(tmp_path, PLAIN_CALL), f"output={tmp_path / 'runs'}", "duration=1 steps"]
    found = {}
    for day in (FIRST, OTHER):
        today(day)
        found[day] = _before(run(load_recipe("unlearn", [*given, f"name=on-{day}"]), report=False))
        own = evaluate(str(tmp_path / "model"), data={"forget": str(tmp_path / "forget.jsonl")})
        assert [r.score.logp for r in own.records if r.score is not None] == pytest.approx(found[day], rel=1e-5)
    assert found[FIRST] != found[OTHER]
    given_day = [*given, "name=given", f"format.date={FIRST}"]
    assert _before(run(load_recipe("unlearn", given_day), report=False)) == found[FIRST]


@pytest.mark.parametrize("change", ["a clock that cannot be stopped", "another template"])
def test_text_that_reads_otherwise_when_a_run_goes_on_is_refused(
    change: str, tmp_path: Path, today, monkeypatch
) -> None:
    today(FIRST)
    recipe = load_recipe("unlearn", [*_world(tmp_path, HIDDEN_CALL), "name=x", f"output={tmp_path / 'runs'}"])
    _interrupted(recipe, monkeypatch)
    if change == "another template":
        file = tmp_path / "model" / "chat_template.jinja"
        file.write_text(file.read_text().replace("Today is", "It is"))
        (tmp_path / "model" / MARK).unlink()
    else:
        today(OTHER)
    with pytest.raises(
        RunError, match="the tokens of unlearn/forget are not those that it began with: the tokenizer, its"
    ):
        run(recipe, report=False)


def test_a_template_without_a_date_leaves_none(tmp_path: Path, today) -> None:
    today(FIRST)
    given = [*_world(tmp_path, _TURNS), "name=x", f"output={tmp_path / 'runs'}", "duration=1 steps"]
    folder = run(load_recipe("unlearn", given), report=False)
    assert "date" not in Results.load(folder).environment
    assert load_model(tmp_path / "model").tokenizer.chat_template == _TURNS
