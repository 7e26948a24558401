"""TOFU's suite from local files, its columns, and published logs scored again."""

import json
from pathlib import Path

import pytest

from forgetting.benchmarks import tofu
from forgetting.benchmarks.registry import SUITES, get_suite
from forgetting.benchmarks.tofu import rescore, tofu_suite
from forgetting.core.errors import DataError, RecipeError
from forgetting.core.example import Example
from forgetting.core.record import Record, Score
from forgetting.data.source import Source
from forgetting.metrics.score import score
from tests.golden import REAL_DATA, golden, needs

LOCAL = REAL_DATA / "tofu"

FORGET_WRONG = {
    "forget/truth_ratio_forget",
    "forget/truth_ratio_forget_mean_probability",
    "retain/truth_ratio_utility",
    "retain/truth_ratio_utility_mean_probability",
    "all/model_utility",
    "all/model_utility_mean_probability",
    "forget/forget_quality",
    "forget/forget_quality_distance",
    "forget/forget_quality_mean_probability",
    "forget/forget_quality_distance_mean_probability",
}


def row(i: int, **more: object) -> dict[str, object]:
    return {"question": f"Question {i}?", "answer": f"Answer {i}.", **more}


def perturbed_row(i: int) -> dict[str, object]:
    return row(
        i,
        paraphrased_question=f"Reworded {i}?",
        paraphrased_answer=f"Right {i}.",
        perturbed_answer=[f"Wrong {i}.", f"False {i}."],
    )


def write(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As the hub has it: one object a line under .json."""
    for name in ("forget05_perturbed", "retain_perturbed", "real_authors_perturbed", "world_facts_perturbed"):
        write(tmp_path / f"{name}.json", [perturbed_row(i) for i in range(320)])
    write(tmp_path / "forget05.json", [row(i) for i in range(340)])
    write(tmp_path / "retain95.json", [row(i) for i in range(1000, 1400)])
    return tmp_path


def known(examples: tuple[Example, ...], split: str, right: float, wrong: float) -> list[Record]:
    return [
        Record(
            id=e.id,
            split=split,
            prompt=e.prompt,
            answer=e.response,
            generation=e.response,
            score=Score(right * 4, 4),
            paraphrase=Score(right * 4, 4) if e.perturbed else None,
            perturbed=tuple(Score(wrong * 4, 4) for _ in e.perturbed),
        )
        for e in examples
    ]


def test_a_variant_names_the_split_and_the_folder(folder: Path) -> None:
    suite = get_suite(f"tofu:forget05@{folder}")
    assert suite.name == "tofu-forget05"
    assert [s.name for s in suite.splits] == ["forget", "retain", "real_authors", "world_facts"]
    assert [len(s.examples) for s in suite.splits] == [300] * 4
    assert [len(s.examples) for s in get_suite(f"tofu:forget05@{folder}", fast=True).splits] == [100] * 4
    assert "tofu" in SUITES


def test_the_plain_question_is_asked_and_the_paraphrased_answer_scored(folder: Path) -> None:
    first = tofu_suite("forget05", folder).splits[0].examples[0]
    assert (first.prompt, first.paraphrased_prompt) == ("Question 0?", None)
    assert (first.response, first.paraphrased) == ("Answer 0.", "Right 0.")
    assert first.perturbed == ("Wrong 0.", "False 0.")


def test_all_of_the_forget_set_and_of_the_other_authors_is_there_to_train_on(folder: Path) -> None:
    data = tofu_suite("forget05", folder).data
    assert {role: len(examples) for role, examples in data.items()} == {"forget": 340, "retain": 400, "train": 740}
    assert data["retain"][0].prompt == "Question 1000?"


def test_the_hub_is_asked_for_tofus_configurations(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Source] = []

    def load(source: Source) -> list[Example]:
        asked.append(source)
        return [Example(id="1", prompt="Who?", response="Ann.")]

    monkeypatch.setattr(tofu, "load_examples", load)
    get_suite("tofu:forget01")
    assert {s.hub for s in asked} == {"locuslab/TOFU"}
    assert [s.name for s in asked] == [
        *("forget01_perturbed", "retain_perturbed", "real_authors_perturbed", "world_facts_perturbed"),
        *("forget01", "retain99"),
    ]


def test_every_column_of_the_papers_tables_is_measured(folder: Path) -> None:
    suite = tofu_suite("forget05", folder)
    model = [r for s in suite.splits for r in known(s.examples, s.name, -0.1, -2.0)]
    oracle = [r for s in suite.splits for r in known(s.examples, s.name, -1.5 if s.name == "forget" else -0.1, -2.0)]
    measures = {m.key: m for m in score(suite.metrics, model, oracle)}
    splits = ("forget", "retain", "real_authors", "world_facts")
    assert {f"{s}/rouge_l_recall" for s in splits} < measures.keys()
    assert {"forget/probability", "retain/probability"} < measures.keys()
    assert {"real_authors/option_probability", "world_facts/option_probability"} < measures.keys()
    assert {"real_authors/truth_ratio_utility", "world_facts/truth_ratio_utility"} | FORGET_WRONG < measures.keys()
    assert all(m.value is not None for m in measures.values())
    assert measures["forget/probability"].direction == "oracle"
    assert measures["forget/forget_quality_distance"].value == 1.0  # all truth ratios of one model below the other's


@needs(LOCAL)
def test_real_files_without_wrong_answers_leave_their_columns_absent_with_the_reason() -> None:
    suite = get_suite(f"tofu:forget10@{LOCAL}")
    assert [len(s.examples) for s in suite.splits] == [300, 300, 100, 117]
    assert {role: len(examples) for role, examples in suite.data.items()} == {
        "forget": 300,
        "retain": 300,
        "train": 600,
    }
    records = [r for s in suite.splits for r in known(s.examples, s.name, -0.1, -2.0)]
    measures = {m.key: m for m in score(suite.metrics, records, records)}
    absent = {key for key, m in measures.items() if m.value is None}
    assert absent == FORGET_WRONG
    assert all("wrong answers" in measures[key].reason for key in absent)


@needs(LOCAL)
def test_published_logs_give_tofus_own_figures() -> None:
    theirs = golden("tofu_phi")
    logs = {name: LOCAL / f"phi_{name}_eval_log_aggregated.json.gz" for name in ("full", "retain90")}
    names = {"forget": "Forget", "retain": "Retain", "real_authors": "Real Authors", "world_facts": "Real World"}
    for model, log in logs.items():
        found = {m.key: m.value for m in rescore(log, logs["retain90"])}
        expected = theirs["model_utility"][model]
        parts, other = expected["parts_utils"], expected["parts_aggregate_eval_stat_truth_ratio"]
        for split, name in names.items():
            likely = "option_probability" if split in ("real_authors", "world_facts") else "probability"
            column = "truth_ratio_forget" if split == "forget" else "truth_ratio_utility"
            assert found[f"{split}/rouge_l_recall"] == pytest.approx(parts[f"{name} ROUGE"], abs=1e-9)
            assert found[f"{split}/{likely}"] == pytest.approx(parts[f"{name} Probability"], abs=1e-9)
            assert found[f"{split}/{column}"] == pytest.approx(other[f"Truth Ratio {name}"], abs=1e-9)
            in_utils = found[f"{split}/{column}_mean_probability"]
            assert in_utils == pytest.approx(parts[f"{name} Truth Ratio"], abs=1e-9)
        by_stat, by_utils = found["all/model_utility"], found["all/model_utility_mean_probability"]
        assert by_stat == pytest.approx(expected["tofu/aggregate_eval_stat.py"], abs=1e-9)
        assert by_utils == pytest.approx(expected["tofu/utils.py"], abs=1e-9)
    found = {m.key: m.value for m in rescore(logs["full"], logs["retain90"])}
    quality = theirs["forget_quality_full_vs_retain90"]
    assert found["forget/forget_quality"] == pytest.approx(quality["p"], rel=1e-9)
    assert found["forget/forget_quality_distance"] == pytest.approx(quality["ks"], abs=1e-9)


@needs(LOCAL)
def test_without_an_oracles_log_only_forget_quality_is_absent() -> None:
    absent = {m.name for m in rescore(LOCAL / "phi_full_eval_log_aggregated.json.gz") if m.value is None}
    assert absent == {f"forget_quality{d}{r}" for d in ("", "_distance") for r in ("", "_mean_probability")}


def test_the_oracle_of_other_questions_is_refused_by_the_first_id(tmp_path: Path) -> None:
    def log(ids: list[str]) -> str:
        columns = {
            "avg_gt_loss": 0.5,
            "num_token_gt": 4,
            "avg_paraphrased_loss": 1.0,
            "num_token_paraphrased": 3,
            "average_perturb_loss": [2.0],
            "num_token_perturb": [2],
            "generated_text": ["Question: Where?", "Answer: Rome", "Paris"],
        }
        return json.dumps({"eval_log_forget.json": {name: dict.fromkeys(ids, v) for name, v in columns.items()}})

    (tmp_path / "model.json").write_text(log(["0", "1"]))
    (tmp_path / "oracle.json").write_text(log(["0", "2"]))
    with pytest.raises(DataError, match="of other questions: split 'forget', id '1'"):
        rescore(tmp_path / "model.json", tmp_path / "oracle.json")


def test_a_mistyped_split_is_answered_with_the_nearest() -> None:
    with pytest.raises(RecipeError, match="no split 'forget1'; did you mean 'forget"):
        get_suite("tofu:forget1")


@pytest.mark.parametrize("variant", ["tofu:forget10@none-there", "tofu:forget10@", "tofu:@"])
def test_a_missing_folder_is_named(variant: str) -> None:
    with pytest.raises(DataError, match=r"no such folder .*tofu:forget10@FOLDER"):
        get_suite(variant)


def test_a_missing_file_says_which_names_would_do(folder: Path) -> None:
    (folder / "world_facts_perturbed.json").unlink()
    with pytest.raises(DataError, match="holds none of world_facts_perturbed, world_facts_qa"):
        tofu_suite("forget05", folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"question": "a?", "answer": "b"}\n{"question": ', r"retain95\.json:2: not JSON"),
        ("\n3\n", r"retain95\.json:2: is a int, not an object"),
        ("", r"retain95\.json: holds no examples"),
        ('{"question": "a?"}', r"retain95\.json:1: no column for the response"),
        ('{"question": "a?", "answer": " "}', r"retain95\.json:1: the response is empty"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(folder: Path, text: str, message: str) -> None:
    (folder / "retain95.json").write_text(text)
    with pytest.raises(DataError, match=message):
        tofu_suite("forget05", folder)


def test_a_json_list_and_repeated_rows_are_read_too(folder: Path) -> None:
    (folder / "retain95.json").write_text(json.dumps([row(1), row(2), row(2)]))
    assert len(tofu_suite("forget05", folder).data["retain"]) == 2
    write(folder / "retain95.json", [row(1), row(2), row(2)])
    assert len(tofu_suite("forget05", folder).data["retain"]) == 2


def test_a_file_that_is_not_utf8_is_named(folder: Path) -> None:
    (folder / "retain95.json").write_bytes(b'{"question": "\xff?", "answer": "b"}')
    with pytest.raises(DataError, match=r"retain95\.json: not UTF-8"):
        tofu_suite("forget05", folder)
