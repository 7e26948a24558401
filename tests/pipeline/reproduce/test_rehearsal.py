"""Every row of every published table runs on a tiny model of its architecture and gives what its columns ask for."""

import importlib.util
import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from forgetting.benchmarks.harness import LISTS
from forgetting.benchmarks.published import published_table, table_names
from forgetting.core.errors import ModelError
from forgetting.data.examples import load_examples
from forgetting.pipeline.reproduce.row import row_recipe
from forgetting.recipe import recipe_from
from tests.pipeline.reproduce.rehearsal import HIDDEN, SAMPLES, Rehearsal, lacking, rehearsed, shrunk_corpus
from tests.pipeline.reproduce.rehearsal_tasks import TAGS, write_tasks

FEW = {
    "duet-table1": ["llama-3.1-8b-w-o-unlearn-rare", "llama-3.1-8b-sft-npo-popular"],
    "duet-table2": ["gemma-7b-gradascent-rare"],
    "duet-table8": ["llama-3.1-8b-graddiff-popular"],
    "duet-table9": ["llama-3.1-8b-undial-rare-1e-6"],
    "loku-table1": ["gpt-neo-125m-before", "gpt-neo-125m-gd-full", "gpt-neo-125m-loku-ihl-fila-lora-fila-16"],
    "loku-table2": ["retain90", "kl-lora-forget10", "npo-lora-forget01"],
    "loku-table9": ["dpo-lora-forget05", "ga-fila-lora-fila-forget10"],
    "forgetting-table11": ["llama-3.2-3b"],
    "f2f-table1": ["gemma-2b-1-base-model", "qwen3-0.6b-1-dapt-full"],
    "f2f-table2": ["qwen3-0.6b-curllora-curlora"],
    "f2f-table3": ["llama-2-13b-maths-bc-mixed-2-tuning-lora"],
    "f2f-table5": ["llama-3.1-8b-3-unl-ga-full"],
}
HARNESS = (
    "loku-table1",
    *(f"forgetting-table{number}" for number in (3, 5, 6, 8, 9, 10)),
    *(f"f2f-table{number}" for number in (1, 2, 3, 4, 5, 8, 9)),
)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def problems(name: str, parts: Sequence[str] = ("",)) -> dict[str, str]:
    """By row, of those whose id has one of these parts, what kept it from running or what its run lacks."""
    table = published_table(name)
    chosen = [row for row in table.rows if any(part in row.id for part in parts)]
    assert all(any(part in row.id for row in chosen) for part in parts)
    found = {}
    with Rehearsal() as rehearsal:
        for row in chosen:
            try:
                missing = lacking(table, row, rehearsed(table, row, rehearsal))
            except Exception as error:
                missing = [f"{type(error).__name__}: {error}"]
            if missing:
                found[row.id] = ", ".join(missing)
    return found


@pytest.mark.parametrize("name", FEW)
def test_rows_run_on_a_tiny_model(name: str) -> None:
    if name in HARNESS:
        pytest.importorskip("lm_eval", reason="its rows are measured by lm-evaluation-harness")
    assert problems(name, FEW[name]) == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in table_names() if published_table(name).is_of_runs])
def test_every_row_of_every_table_runs(name: str) -> None:
    if name in HARNESS:
        pytest.importorskip("lm_eval", reason="its rows are measured by lm-evaluation-harness")
    failed = problems(name)
    if importlib.util.find_spec("bitsandbytes") is None:
        failed = {row: why for row, why in failed.items() if "need bitsandbytes, which is missing" not in why}
    assert failed == {}


def test_a_column_that_a_run_does_not_measure_is_named() -> None:
    table = published_table("loku-table2")
    row = next(row for row in table.rows if not row.trained)
    with Rehearsal() as rehearsal:
        ended = rehearsed(table, row, rehearsal)
    assert lacking(table, row, ended) == []
    without = {key: m for key, m in ended.measures.items() if key != "all/model_utility"}
    assert lacking(table, row, type(ended)(ended.folder, without)) == ["all/model_utility"]


@pytest.mark.parametrize("architecture", ["gemma", "gpt_neo", "phi", "llama", "qwen2", "qwen3"])
def test_the_model_is_a_tiny_one_of_the_rows_architecture(architecture: str) -> None:
    with Rehearsal() as stage:
        folder = stage.model(architecture)
        assert stage.model(architecture) == folder != stage.model(architecture, seed=1)
        model = AutoModelForCausalLM.from_pretrained(folder)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        assert json.loads((folder / "config.json").read_text())["model_type"] == architecture
    assert sum(p.numel() for p in model.parameters()) < 150_000 and model.config.hidden_size == HIDDEN
    assert len(tokenizer) <= model.get_input_embeddings().num_embeddings
    assert not folder.exists(), "nothing is left behind"


def test_an_architecture_without_a_tiny_model_is_named() -> None:
    with Rehearsal() as stage, pytest.raises(ModelError, match="'gptneo'; did you mean 'gpt_neo'"):
        stage.model("gptneo")


def test_the_invented_tasks_are_those_of_the_lists_with_every_task_of_a_tag(tmp_path: Path) -> None:
    write_tasks(tmp_path / "tasks", LISTS["forgetting"])
    names = {file.stem for file in (tmp_path / "tasks").glob("*.yaml")}
    assert {"truthfulqa_mc2", "tydiqa_goldp_te", "arithmetic_5ds", "ifeval", "lambada_openai"} <= names
    assert len(names) == 7 + 9 + 10
    asked = {key for n in (3, 8) for c in published_table(f"forgetting-table{n}").columns for key in c.measures}
    assert {key.split("/")[0] for key in asked} - {"forgetting-table3", "forgetting-table8"} == names


def test_the_tasks_of_a_tag_are_those_that_the_harness_has() -> None:
    lm_eval = pytest.importorskip("lm_eval")
    for tag, names in TAGS.items():
        folder = Path(lm_eval.__file__).parent / "tasks" / tag.split("_")[0]
        found = re.findall(r"^task: (\w+)$", "\n".join(f.read_text() for f in folder.glob("*.yaml")), re.MULTILINE)
        assert sorted(found) == sorted(names)


def test_a_corpus_is_shrunk_in_proportion_and_keeps_its_shares() -> None:
    sources = [{"count": 30_000}, {"count": 10}, {"share": 0.25, "count": None}]
    corpus = {"size": 60_000, "reference": 10_000, "duplicates": "drop"}
    values = {"corpus": corpus, "data": {"train": sources}, "stages": [{"data": {}}]}
    shrunk_corpus(values)
    assert corpus == {"size": SAMPLES, "reference": SAMPLES // 6, "duplicates": "drop"}
    assert sources == [{"count": SAMPLES // 2}, {"count": 1}, {"share": 0.25, "count": None}]


def test_a_share_for_the_reference_and_a_recipe_without_corpus_stay_as_they_are() -> None:
    values = {"corpus": {"size": None, "reference": 0.25}, "data": {}, "stages": []}
    shrunk_corpus(values)
    assert values["corpus"] == {"size": None, "reference": 0.25}
    without = {"data": {}, "stages": []}
    shrunk_corpus(without)
    assert without == {"data": {}, "stages": []}


def test_only_the_data_the_length_and_the_device_differ_from_the_rows_recipe(tmp_path: Path) -> None:
    table = published_table("loku-table1")
    row = next(row for row in table.rows if row.id == "gpt-neo-125m-gd-fila-lora-fila-16")
    whole = row_recipe(row, next(table.runs(row)), model="m", oracle=None)
    with Rehearsal() as stage:
        short = stage.shrunk(whole)
    [before], [after] = whole.stages, short.stages
    assert str(after.duration) == "1 steps"
    assert after.model_copy(update={"duration": before.duration}) == before
    kept = {"name", "question", "model", "format", "export", "seed", "max_new_tokens", "oracle", "output"}
    assert short.model_dump(include=kept) == whole.model_dump(include=kept)
    assert [name.split(":")[0] for name in short.evaluate] == [name.split(":")[0] for name in whole.evaluate]


def test_sources_of_one_dataset_share_its_stand_in_whatever_columns_they_read(tmp_path: Path) -> None:
    hub = {"hub": "org/data"}
    asked = {"columns": {"prompt": "instruction", "input": "context", "response": "output"}}
    data = {"forget": {**hub, "form": "text", "columns": {"text": "code"}}, "train": {**hub, **asked}}
    stages = [{"method": "sft"}, {"name": "tune", "method": "graddiff", "data": {"retain": {"hub": "org/other"}}}]
    with Rehearsal() as stage:
        short = stage.shrunk(recipe_from({"model": "m", "data": data, "stages": stages}))
        [text], [pair] = (load_examples(s)[:1] for role in ("forget", "train") for s in short.data[role])
        rows = [json.loads(line) for line in Path(str(short.data["train"][0].path)).read_text().splitlines()]
    assert short.data["forget"][0].path == short.data["train"][0].path
    assert {tuple(sorted(row)) for row in rows} == {("code", "context", "instruction", "output")} and len(
        rows
    ) == SAMPLES
    assert (text.form, pair.form) == ("text", "qa") and "\n\n" in pair.prompt


def test_a_tasks_metric_keeps_the_filter_that_it_is_of(tmp_path: Path) -> None:
    write_tasks(tmp_path / "tasks", LISTS["coding"])
    task = (tmp_path / "tasks" / "humaneval.yaml").read_text()
    assert "metric: pass@1," in task and "{name: create_test, " in task
    assert '"pass@1"' in (tmp_path / "tasks" / "rows.py").read_text()
