"""Rows of Forget-to-Focus's tables are the paper's runs: unlearner, fine-tuner, adapter, settings by model, data."""

import pytest

from forgetting.benchmarks.published import Row, Table, published_table
from forgetting.core.duration import Duration
from forgetting.recipe import Recipe, Stage, load_recipe

TABLES = [f"f2f-table{number}" for number in (1, 2, 3, 4, 5, 8, 9)]
DOMAINS = {
    "coding": ("mbpp", "humaneval"),
    "medical": ("pubmedqa", "medmcqa"),
    "maths": ("hendrycks_math", "gsm8k"),
}
LLAMA = ("llama-3.1-8b", "llama-2-13b")


def recipe(table: Table, row: Row) -> Recipe:
    return load_recipe(row.recipe, [*next(iter(table.runs(row)))[1], "model=./mine"])


def stages(table: Table, row: Row) -> dict[str, Stage]:
    return {stage.name: stage for stage in recipe(table, row).stages}


def rows(*names: str, trained: bool = True) -> list[tuple[Table, Row]]:
    tables = [published_table(name) for name in names or TABLES]
    return [(table, row) for table in tables for row in table.rows if row.trained or not trained]


@pytest.mark.parametrize("name", TABLES)
def test_a_row_starts_from_the_recipe_of_its_domain_and_measures_its_columns(name: str) -> None:
    for table, row in rows(name, trained=False):
        assert row.recipe == f"f2f-{row.labels['domain']}"
        measured = {column for column, found in row.values.items() if found.value is not None}
        if name != "f2f-table5":
            assert measured == set(DOMAINS[row.labels["domain"]])
            assert recipe(table, row).evaluate[0].startswith(f"harness:{row.labels['domain']}")
        others = [found.reason for column, found in row.values.items() if column not in measured]
        assert set(others) <= {"measured in the runs of another domain"}


def test_the_models_settings() -> None:
    """Section 3.4: batches, rates, epochs, and section 4.1: sizes of forget sets."""
    for table, row in rows():
        found = stages(table, row)
        small = row.model == "qwen3-0.6b"
        if "unlearn" in found:
            assert found["unlearn"].batch_size == (8 if small else 2)
            assert found["unlearn"].duration == Duration(1000, "steps")
            if row.labels.get("phase") != "Unlearning":
                assert found["unlearn"].learning_rate == (3e-5 if row.model in LLAMA else 1e-5)
            [forget] = recipe(table, row).data["forget"]
            assert forget.limit == (100 if small else 1000)
            assert forget.path is not None and forget.path.startswith(f"data/f2f/{row.labels['domain']}-")
        if "tune" in found:
            assert found["tune"].duration == Duration(8 if small else 1, "epochs")
            assert found["tune"].batch_size == 128
            if row.labels.get("phase") != "Fine-Tuning":
                assert found["tune"].learning_rate == 2e-5


def test_an_unlearner_and_a_fine_tuner_of_the_paper_are_these_of_ours() -> None:
    for table, row in rows("f2f-table1", "f2f-table3", "f2f-table4", "f2f-table5"):
        found, method = stages(table, row), row.labels["method"]
        unlearned = {"2": True, "3": True, "1": table.name == "f2f-table3"}[method[1]]
        assert ("unlearn" in found, "tune" in found) == (unlearned, "Unl" not in method)
        assert ("adapt" in found) == ("DAPT" in method)
        if unlearned:
            ascent_alone = method.startswith("(2)" if table.name == "f2f-table3" else "(3)")
            expected = {"name": "graddiff", "forget_weight": 1.0, "retain_weight": 0.5}
            assert found["unlearn"].method == ({"name": "ga"} if ascent_alone else expected)
        assert "tune" not in found or found["tune"].method == {"name": "sft"}


def test_table_2_is_forget_to_focus_with_each_fine_tuner() -> None:
    for table, row in rows("f2f-table2"):
        found = stages(table, row)
        assert list(found) == ["unlearn", "adapt", "tune"] if row.labels["method"] == "DAPT" else ["unlearn", "tune"]
        kind = {"LoRA": "lora", "CurlLoRA": "curlora"}.get(row.labels["method"])
        kind = kind or ("lora" if row.model == "llama-3.1-8b" else "full")
        assert found["tune"].adapter_or_full.kind == kind


def test_what_trains_is_what_the_label_says_and_no_weights_train_in_float16() -> None:
    kinds = {"full": "full", "LoRA": "lora", "LoRA in fp16": "lora", "CURLoRA": "curlora", "CURLoRA in fp16": "curlora"}
    for table, row in rows():
        label = row.labels.get("adapter")
        if label is None:
            continue
        found, whole = list(stages(table, row).values()), recipe(table, row)
        assert found[-1].adapter_or_full.kind == kinds.get(label, "qlora")
        assert (whole.dtype == "float16") == label.endswith("in fp16")
        if whole.dtype == "float16":
            adapted = [stage.adapter_or_full.kind for stage in found]
            assert "full" not in adapted
            assert row.model in (*LLAMA, "qwen2-72b") and "unlearn" not in {stage.name for stage in found}


def test_the_72b_model_is_in_four_bits_and_sees_half_of_the_data() -> None:
    """But for CURLoRA, which is not made of weights in 4 bits."""
    table = published_table("f2f-table1")
    large = [row for row in table.rows if row.model == "qwen2-72b"]
    assert len(large) == 9
    for row in large:
        whole = recipe(table, row)
        assert whole.corpus is not None and whole.corpus.reference == 0.5
        if row.labels["adapter"] == "QLoRA":
            assert whole.quantise == "nf4" and whole.dtype == "bfloat16"
            for stage in whole.stages:
                adapter = stage.adapter_or_full
                assert (adapter.kind, adapter.rank, adapter.dropout) == ("qlora", 16, 0.05)
                assert stage.between == "stack" or stage is whole.stages[-1]
        else:
            assert whole.quantise is None


def test_table_3_takes_a_file_of_each_kind() -> None:
    for table, row in rows("f2f-table3"):
        kind = row.labels["forget_set"].removeprefix("BC-").lower()
        assert recipe(table, row).data["forget"][0].path == f"data/f2f/{row.labels['domain']}-{kind}.jsonl"
        assert f"data/f2f/coding-{kind}.jsonl" in table.data


def test_table_8_moves_one_rate_at_a_time() -> None:
    rates = {"Unlearning": [], "Fine-Tuning": []}
    for table, row in rows("f2f-table8"):
        found = stages(table, row)
        phase = row.labels["phase"]
        if phase == "Unlearning":
            assert list(found) == ["unlearn"]
            rates[phase].append(found["unlearn"].learning_rate)
        else:
            assert found["unlearn"].learning_rate == 3e-5
            rates[phase].append(found["tune"].learning_rate)
    assert rates["Unlearning"] == rates["Fine-Tuning"] == [5e-6, 1e-5, 1.5e-5, 2e-5, 2.5e-5, 3e-5, 4e-5]


def test_table_9_is_three_seeds_and_its_base_models_one_run() -> None:
    table = published_table("f2f-table9")
    for row in table.rows:
        seeds = [load_recipe(row.recipe, [*overrides, "model=./mine"]).seed for _, overrides in table.runs(row)]
        assert seeds == ([0, 1, 2] if row.trained else [0])
