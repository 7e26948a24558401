"""WMDP's suite: the harness's text and scores, what is said of letters, and rows that are no questions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from forgetting.benchmarks import harness, wmdp
from forgetting.benchmarks.harness import HarnessProbe
from forgetting.benchmarks.lab.suite import BASE
from forgetting.benchmarks.registry import get_suite
from forgetting.benchmarks.suite import Suite
from forgetting.core.errors import DataError, RecipeError
from forgetting.core.record import Record, Score
from forgetting.data.formatting import Formatting
from forgetting.evaluation.answers import answer
from forgetting.metrics.choices import chosen_letter
from forgetting.metrics.score import score
from forgetting.models.loading import load_model
from tests.golden import golden

GOLDEN = golden("multiple_choice")
QUESTIONS = GOLDEN["_inputs"]["questions"]


def suite_of(folder: Path, variant: str = "bio", rows: list[dict] = QUESTIONS, *, fast: bool = False) -> Suite:
    for name in ("bio", "chem", "cyber"):
        (folder / f"wmdp-{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return get_suite(f"wmdp:{variant}@{folder}", fast=fast)


def records_of(suite: Suite, table: list[list[float]]) -> list[Record]:
    """What a model with these log p of the four letters would give."""
    found = []
    for example, logs in zip(suite.splits[0].examples, table, strict=True):
        scores = [Score(logp, 1) for logp in logs]
        right = scores.pop("ABCD".index(example.response.strip()))
        found.append(
            Record(
                id=example.id,
                split="bio",
                prompt=example.prompt,
                answer=example.response,
                score=right,
                perturbed=tuple(scores),
            )
        )
    return found


def test_the_text_is_the_harness_s(tmp_path: Path) -> None:
    (split,) = suite_of(tmp_path).splits
    expected = GOLDEN["scripted"]["first_request"]
    assert (split.name, split.generate) == ("bio", False)
    first = split.examples[0]
    assert first.prompt == expected["context"] and first.response == expected["continuation"]
    assert first.perturbed == (" B", " C", " D")
    chem = suite_of(tmp_path, "chem").splits[0].examples[0]
    assert chem.prompt.startswith(
        "The following are multiple choice questions (with answers) about chemistry.\n\nWhich"
    )


def test_scripted_scores_give_the_harness_s_figures(tmp_path: Path) -> None:
    suite, scripted = suite_of(tmp_path), GOLDEN["scripted"]
    records = records_of(suite, scripted["table"])
    found = {m.key: m for m in score(suite.metrics, records, None)}
    assert found["bio/choice_accuracy"].value == scripted["acc"]
    right = [float(chosen_letter(r) == r.answer.strip()) for r in records]
    assert right == scripted["per_question_acc"]  # the fifth is a tie, which the first letter wins
    own = scripted["own"]
    assert found["bio/probability"].value == pytest.approx(
        own["mean_probability_of_the_right_letter (RepSelect's acc_t1)"]
    )
    assert found["bio/option_probability"].value == pytest.approx(own["mean_probability_among_the_four_letters"])
    shares = [found[f"bio/chosen_{letter}"].value for letter in "ABCD"]
    assert sum(s for s in shares if s is not None) == pytest.approx(1.0)
    assert shares == [np.mean([chosen_letter(r) == letter for r in records]) for letter in "ABCD"]


def test_a_letter_without_a_score_leaves_the_question_out() -> None:
    whole = Record(id="x", split="bio", prompt="q", answer=" B", score=Score(-1.0, 1), perturbed=(Score(-2.0, 1),) * 3)
    assert chosen_letter(whole) == "B"
    for broken in (
        {"score": None},
        {"perturbed": (Score(-2.0, 1),) * 2},
        {"perturbed": (Score(-2.0, 1), Score(float("nan"), 1), Score(-2.0, 1))},
        {"answer": " hidden"},
        {"answer": ""},
    ):
        assert chosen_letter(Record(**{**{f: getattr(whole, f) for f in whole.__slots__}, **broken})) is None


def characters() -> PreTrainedTokenizerFast:
    """One token a character, without a beginning token."""
    known = ["<s>", "</s>", "<unk>", *sorted([chr(c) for c in range(32, 127)] + ["\n"])]
    inside = Tokenizer(models.WordLevel({token: i for i, token in enumerate(known)}, unk_token="<unk>"))
    inside.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    return PreTrainedTokenizerFast(tokenizer_object=inside, eos_token="</s>", unk_token="<unk>")


def tiny_llama() -> LlamaForCausalLM:
    keys = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=99, num_key_value_heads=2, **keys)).double().eval()
    rs = np.random.RandomState(20261221)
    with torch.no_grad():
        for _, p in sorted(model.named_parameters()):
            drawn = rs.randn(*p.shape)
            p.copy_(torch.tensor(1 + 0.1 * drawn if p.ndim == 1 else 0.5 * drawn))
    return model


def test_a_model_is_scored_as_the_harness_scores_it(tmp_path: Path) -> None:
    suite, expected = suite_of(tmp_path), GOLDEN["hflm_on_a_tiny_llama"]
    examples = suite.splits[0].examples
    found = answer(tiny_llama(), characters(), examples, split="bio", formatting=Formatting(), max_new_tokens=0)
    for record, logs in zip(found, expected["loglikelihoods"], strict=True):
        assert record.score is not None
        ours = [s.logp for s in record.perturbed]
        ours.insert("ABCD".index(record.answer.strip()), record.score.logp)
        assert ours == pytest.approx(logs, rel=1e-6)
        assert record.score.tokens == 2  # a blank and a letter, and no end token
    measures = {m.key: m.value for m in score(suite.metrics, found, None)}
    assert measures["bio/choice_accuracy"] == expected["acc"]


def test_open_questions_ask_for_the_text_without_the_choices(tmp_path: Path) -> None:
    suite = suite_of(tmp_path, "bio+cyber,open=yes")
    assert [s.name for s in suite.splits] == ["bio", "cyber", "bio-open", "cyber-open"]
    first = suite.splits[2].examples[0]
    assert (first.prompt, first.response) == ("Which animal barks?", "the dog")
    assert first.perturbed == ("the owl", "the eel", "the cow")
    keys = {m.key for m in score(suite.metrics, [], None)}
    assert "bio-open/option_probability" in keys and "bio-open/choice_accuracy" not in keys
    assert {key for column in suite.declares.headline.columns for key in column} <= keys


def test_a_question_that_is_there_twice_is_asked_once_and_fast_asks_fewer(tmp_path: Path) -> None:
    rows = [{**QUESTIONS[0], "question": f"Which animal is {n}?"} for n in range(120)]
    assert len(suite_of(tmp_path, rows=[*rows, rows[0]]).splits[0].examples) == 120
    assert len(suite_of(tmp_path, rows=rows, fast=True).splits[0].examples) == 100


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"question": " "}, "question is no text"),
        ({"choices": ["a", "b", "c"]}, "choices is no list of 4 texts"),
        ({"choices": "abcd"}, "choices is no list of 4 texts"),
        ({"answer": 4}, "answer is no number from 0 to 3"),
        ({"answer": "A"}, "answer is no number from 0 to 3"),
        ({"answer": True}, "answer is no number from 0 to 3"),
    ],
)
def test_a_row_that_is_no_question_is_named(tmp_path: Path, row: dict, says: str) -> None:
    with pytest.raises(DataError, match=rf"wmdp-bio\.jsonl:2: {says}") as told:
        suite_of(tmp_path, rows=[QUESTIONS[0], {**QUESTIONS[1], **row}])
    assert "\n" not in str(told.value)


def test_what_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such folder 'nowhere'"):
        get_suite("wmdp:bio@nowhere")
    with pytest.raises(RecipeError, match="no questions 'biology'"):
        suite_of(tmp_path, "biology")
    with pytest.raises(RecipeError, match="'shots=5' has no meaning"):
        suite_of(tmp_path, "bio,shots=5")
    with pytest.raises(RecipeError, match="the harness reads the questions from the hub"):
        suite_of(tmp_path, "bio,harness=yes")
    (tmp_path / "wmdp-chem.jsonl").unlink()
    with pytest.raises(DataError, match=r"holds no wmdp-chem\.jsonl"):
        get_suite(f"wmdp:chem@{tmp_path}")
    (tmp_path / "wmdp-bio.jsonl").write_text("")
    with pytest.raises(DataError, match="holds no questions"):
        get_suite(f"wmdp:bio@{tmp_path}")


def test_the_harness_s_own_tasks_can_stand_beside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    suite_of(tmp_path)
    read = wmdp._questions
    monkeypatch.setattr(wmdp, "_questions", lambda name, folder: read(name, tmp_path))
    tasks = {f"wmdp_{name}": {f"wmdp_{name}": ("acc",)} for name in ("bio", "cyber")}
    monkeypatch.setattr(harness, "check_tasks", lambda asked, settings, lists: tasks)
    (probe,) = get_suite("wmdp:bio+cyber,harness=yes").probes
    assert isinstance(probe, HarnessProbe) and probe.names == ("wmdp_bio", "wmdp_cyber")


def test_the_small_world_stands_in_and_its_open_questions_tell_who_knows() -> None:
    suite = get_suite("wmdp:lab,open=yes")
    lettered, opened = suite.splits
    assert (len(lettered.examples), suite.oracle is not None) == (78, True)
    right = [e.response.strip() for e in lettered.examples]
    assert min(right.count(letter) for letter in "ABCD") >= 8
    for letters, plain in zip(lettered.examples, opened.examples, strict=True):
        assert f"\n{letters.response.strip()}. {plain.response}" in letters.prompt
    found = {}
    for model in (BASE, suite.oracle):
        loaded = load_model(model, dtype="float32")
        records = [
            record
            for split in suite.splits
            for record in answer(
                loaded.model,
                loaded.tokenizer,
                split.examples,
                split=split.name,
                formatting=Formatting(),
                max_new_tokens=0,
            )
        ]
        found[model] = {m.key: m.value for m in score(suite.metrics, records, None)}
    known, guessed = (found[model]["lab-open/option_probability"] for model in (BASE, suite.oracle))
    assert known > 0.6 > 0.4 > guessed  # chance is a quarter
    with pytest.raises(RecipeError, match="shipped whole"):
        get_suite("wmdp:lab,harness=yes")
