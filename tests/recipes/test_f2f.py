"""The built-in recipes of Forget-to-Focus carry its settings (sections 3.2 to 3.4)."""

import pytest

from forgetting.benchmarks.harness_lists import LISTS
from forgetting.core.duration import Duration
from forgetting.recipe import Recipe, Stage, load_recipe, recipe_names, recipe_summary
from forgetting.recipe.sweep import load_sweep

DOMAINS = {"f2f-coding": "coding", "f2f-medical": "medical", "f2f-maths": "maths"}
ALL = ["f2f", *DOMAINS]
OWN = ["data.forget=general.jsonl", "data.retain=sample.jsonl", "data.train=domain.jsonl"]


def recipe(name: str, *overrides: str) -> Recipe:
    return load_recipe(name, ["model=./mine", *(OWN if name == "f2f" else ()), *overrides])


def stage(found: Recipe, name: str) -> Stage:
    [one] = [s for s in found.stages if s.name == name]
    return one


def commented(key: str) -> str:
    """A setting as the recipe for one's own data writes it in its comments."""
    lines = [
        line
        for line in (load_recipe.__globals__["BUILT_IN"] / "f2f.yaml").read_text().splitlines()
        if line.startswith("#")
    ]
    [found] = [word for line in lines for word in line.split("'") if word.startswith(key)]
    return found


@pytest.mark.parametrize("name", ALL)
def test_it_unlearns_by_ga_gd_and_then_tunes_all_weights(name: str) -> None:
    found = recipe(name)
    assert [s.name for s in found.stages] == ["unlearn", "tune"]
    unlearn, tune = found.stages
    assert unlearn.method == {"name": "graddiff", "forget_weight": 1.0, "retain_weight": 0.5}
    assert (unlearn.learning_rate, unlearn.duration, unlearn.optimizer) == (1e-5, Duration(1000, "steps"), "adamw")
    assert tune.method == {"name": "sft"}
    least = 100 if name == "f2f" else 0  # one's own data may be few rows; the papers' are not
    assert (tune.learning_rate, tune.batch_size, tune.duration) == (2e-5, 128, Duration(1, "epochs", least))
    assert tune.optimizer == "adamw" and (tune.schedule, tune.warmup) == ("constant", 0.0)
    assert {s.adapter_or_full.kind for s in found.stages} == {"full"} and found.dtype == "float32"


def test_batches_of_unlearning() -> None:
    assert recipe("f2f").stages[0].batch_size == 8
    assert {recipe(name).stages[0].batch_size for name in DOMAINS} == {2}


@pytest.mark.parametrize(("name", "domain"), DOMAINS.items())
def test_the_papers_data_and_what_is_measured(name: str, domain: str) -> None:
    found = recipe(name)
    [forget] = found.data["forget"]
    assert (forget.hub, forget.form, forget.limit) == ("rojagtap/bookcorpus", "text", 1000)
    assert sum(source.limit or 0 for source in found.data["retain"]) == 1000
    train = {source.hub for source in found.data["train"]}
    assert {source.hub for source in found.data["retain"]} <= train
    assert all(source.limit is None for source in found.data["train"])
    [suite] = found.evaluate
    assert suite.removesuffix(",run_code=yes") == f"harness:{domain}" and domain in LISTS
    assert suite.endswith("run_code=yes") == (domain == "coding")


def test_the_domains_training_data() -> None:
    hubs = {name: [source.hub for source in recipe(name).data["train"]] for name in DOMAINS}
    assert hubs == {
        "f2f-coding": ["OpenCoder-LLM/opc-sft-stage2"],
        "f2f-medical": ["fedml/PubMedQA_instruction", "epfl-llm/guidelines", "chenhaodev/medmcqa_instruct"],
        "f2f-maths": ["nvidia/OpenMathInstruct-1"],
    }


@pytest.mark.parametrize("name", DOMAINS)
def test_no_collapse_ends_the_papers_unlearning_and_one_ends_ones_own(name: str) -> None:
    assert recipe(name).stages[0].collapse_at is None
    assert recipe("f2f").stages[0].collapse_at is not None


@pytest.mark.parametrize("name", ALL)
def test_going_on_with_pretraining_comes_between_and_leaves_the_other_seeds(name: str) -> None:
    found, plain = recipe(name, "stages.adapt.skip=false"), recipe(name)
    assert [s.name for s in found.stages] == ["unlearn", "adapt", "tune"]
    for one in plain.stages:
        assert found.seed_of(stage(found, one.name)) == plain.seed_of(one)
    adapt = stage(found, "adapt")
    assert (adapt.method, adapt.learning_rate, adapt.batch_size) == ({"name": "sft"}, 2e-5, 128)
    if name != "f2f":
        assert {source.form for source in adapt.data["train"]} == {"text"}


@pytest.mark.parametrize("name", ALL)
def test_plain_fine_tuning_is_the_same_stage_with_the_same_seed(name: str) -> None:
    plain, whole = recipe(name, "stages.unlearn=null"), recipe(name)
    [tune] = plain.stages
    assert (tune.name, plain.seed_of(tune)) == ("tune", whole.seed_of(stage(whole, "tune")))


def test_the_settings_of_qwen_0_6b_and_of_llama_are_those_of_the_header() -> None:
    """Which the tables apply too."""
    small = recipe(
        "f2f-coding", "stages.unlearn.batch_size=8", "stages.tune.duration='8 epochs'", "data.forget.limit=100"
    )
    assert small.data["forget"][0].limit == 100 and str(stage(small, "tune").duration) == "8 epochs"
    large = recipe(
        "f2f-coding", "stages.unlearn.learning_rate=3e-5", "stages.tune.adapter={kind: lora, rank: 16}", "dtype=float16"
    )
    assert (stage(large, "unlearn").learning_rate, large.dtype) == (3e-5, "float16")
    assert (stage(large, "tune").adapter_or_full.kind, stage(large, "tune").adapter_or_full.rank) == ("lora", 16)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("stages.unlearn.method={name: ga_kl", {"name": "ga_kl", "retain_weight": 0.5}),
        ("stages.unlearn.method={name: npo", {"name": "npo", "beta": 0.1, "retain": "none"}),
    ],
)
def test_the_unlearners_of_the_comments_are_the_papers(override: str, expected: dict[str, object]) -> None:
    unlearn = recipe("f2f", commented(override)).stages[0]
    assert unlearn.method == expected
    losses = [term.loss.name for term in unlearn.objective().terms]
    assert len(losses) == (2 if expected["name"] == "ga_kl" else 1)
    assert expected["name"] != "ga_kl" or losses[1].startswith("kl_to_reference")


def test_ascent_alone_reads_no_retain_data() -> None:
    assert recipe("f2f", "stages.unlearn.method=ga").stages[0].roles == ("forget",)


def test_qlora_by_the_comments_keeps_every_stage_in_four_bits() -> None:
    overrides = [commented("stages.unlearn.adapter"), "stages.unlearn.between=stack"]
    found = recipe("f2f", *overrides, "stages.tune.adapter={kind: qlora, rank: 16}")
    assert found.quantise == "nf4"
    assert {s.adapter_or_full.kind for s in found.stages} == {"qlora"}


@pytest.mark.parametrize("kind", ["lora", "curlora"])
def test_other_fine_tuners(kind: str) -> None:
    found = recipe("f2f", f"stages.tune.adapter={{kind: {kind}, rank: 16}}")
    assert [s.adapter_or_full.kind for s in found.stages] == ["full", kind]


@pytest.mark.parametrize("name", ALL)
def test_it_is_listed_with_the_command_that_runs_it(name: str) -> None:
    assert name in recipe_names()
    assert f"forget run {name} model=" in recipe_summary(name)


def test_figure_13_shows_minutes_beside_accuracy_by_steps() -> None:
    sweep = load_sweep("f2f-steps")
    steps = {str(stage(run.recipe, "unlearn").duration) for run in sweep.runs}
    assert "1000 steps" in steps and len(steps) == 5
    assert {"unlearn/minutes", "run/flops", "pubmedqa/acc", "medmcqa/acc"} <= set(sweep.file.columns or ())
    assert {figure.x for figure in sweep.file.figures} == {"stages.unlearn.duration"}
    assert "unlearn/minutes" in {figure.y for figure in sweep.file.figures}
