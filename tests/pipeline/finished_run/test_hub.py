"""What is put on the hub: a card that the hub takes and that tells no secret, and files that plain libraries load."""

import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard, metadata_load
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.repocard_data import model_index_to_eval_results
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from forgetting.core.errors import RunError
from forgetting.core.folder import is_complete
from forgetting.core.sealed import unsealed
from forgetting.core.subset import Subset
from forgetting.models.loading import load_model
from forgetting.pipeline.finished_run import hub as publishing
from forgetting.pipeline.finished_run.hub import Publication, hub_base
from forgetting.pipeline.run.run import run
from forgetting.recipe import load_recipe
from forgetting.runs.folder import RunFolder
from forgetting.runs.results import Results

ANYWAY = Publication(despite_failure=True)  # two steps forget nothing
prepare = partial(publishing.prepare, how=ANYWAY)
push = partial(publishing.push, how=ANYWAY)


@pytest.fixture(scope="module")
def runs(world: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pushed")
    keys = [f"model={world / 'model'}", f"data.forget={world / 'forget.jsonl'}", "dtype=float32", "max_new_tokens=4"]
    keys += [
        f"data.retain={world / 'retain.jsonl'}",
        f"output={folder}",
        "duration=2 steps",
        "evaluate_every=null",
        "keep=last",
    ]
    lora = run(load_recipe("unlearn", [*keys, "name=lora", "method=loku", "adapter={rank: 2}"]), report=False)
    full = run(load_recipe("unlearn", [*keys, "name=full", "method=graddiff", "adapter={kind: full}"]), report=False)
    return {"lora": lora, "full": full}


class Double:
    """A hub that keeps what it is given."""

    def __init__(self, error: Exception | None = None) -> None:
        self.files: dict[str, bytes] = {}
        self.calls: list[tuple] = []
        self.error = error

    def create_repo(self, repo_id, *, private=None, exist_ok=False):
        if self.error:
            raise self.error
        self.calls.append(("create", repo_id, private, exist_ok))

    def upload_folder(self, *, repo_id, folder_path, commit_message=None):
        self.calls.append(("upload", repo_id))
        self.files = {f.name: f.read_bytes() for f in Path(folder_path).iterdir()}


def test_the_card_holds_metadata_that_reads_back_with_every_measure(runs, tmp_path):
    how = replace(ANYWAY, base="org/base", license_name="mit")
    folder = prepare(runs["lora"], "me/mine", tmp_path / "out", how=how)
    metadata = metadata_load(folder / "README.md")
    assert metadata["base_model"] == "org/base"
    assert metadata["library_name"] == "peft"
    assert metadata["license"] == "mit"
    assert {"machine-unlearning", "loku"} <= set(metadata["tags"])
    name, results = model_index_to_eval_results(metadata["model-index"])
    measured = {m.key: m.value for m in Results.load(runs["lora"]).after.measures if m.value is not None}
    told = {f"{r.dataset_split}/{r.metric_type}": r.metric_value for r in results}
    assert name == "mine"
    assert told == {k: v for k, v in measured.items() if "[" not in k}
    card = ModelCard.load(folder / "README.md")
    assert card.data.to_dict()["pipeline_tag"] == "text-generation"


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_neither_texts_nor_paths_of_this_machine_are_told(kind, runs, world, tmp_path):
    folder = prepare(runs[kind], "me/mine", tmp_path / "out")
    rows = [json.loads(line) for line in (world / "forget.jsonl").read_text().splitlines()]
    for file in folder.iterdir():
        if file.name in ("tokenizer.json",) or file.suffix == ".safetensors":
            continue
        text = file.read_text()
        assert str(world) not in text
        assert "forget.jsonl" not in text
        assert not [r for r in rows if r["question"] in text or r["answer"] in text]
    card = (folder / "README.md").read_text()
    data = Results.load(runs[kind]).data
    assert data["retain"]["sha256"] in card
    assert data["forget"]["sha256"] not in card  # by which a guess at a small set could be confirmed
    assert "| forget | 12 |" in card


def test_an_adapter_is_loaded_by_plain_peft(runs, world, tmp_path):
    folder = prepare(runs["lora"], "me/mine", tmp_path / "out", how=replace(ANYWAY, base="org/base"))
    assert json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"] == "org/base"
    base = AutoModelForCausalLM.from_pretrained(world / "model", dtype="float32")
    model = PeftModel.from_pretrained(base, folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer("Where does guest 1 live?", return_tensors="pt")["input_ids"]
    ours = load_model(runs["lora"] / "model", dtype="float32").model
    assert torch.allclose(model(ids).logits, ours(ids).logits, atol=1e-5)


def test_a_model_is_loaded_by_plain_transformers(runs, tmp_path):
    folder = prepare(runs["full"], "me/mine", tmp_path / "out")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()
    ids = AutoTokenizer.from_pretrained(folder)("Where?", return_tensors="pt")["input_ids"]
    assert torch.equal(model(ids).logits, load_model(runs["full"] / "model", dtype="float32").model(ids).logits)
    assert metadata_load(folder / "README.md")["library_name"] == "transformers"
    assert not is_complete(folder)


def test_what_is_uploaded_is_what_is_prepared(runs, tmp_path):
    hub = Double()
    address = push(runs["full"], "me/mine", private=True, hub=hub)
    assert address == "https://huggingface.co/me/mine"
    assert hub.calls == [("create", "me/mine", True, True), ("upload", "me/mine")]
    folder = prepare(runs["full"], "me/mine", tmp_path / "out")
    assert hub.files == {f.name: f.read_bytes() for f in folder.iterdir()}


def test_the_datasets_of_the_hub_are_named_and_others_are_not(runs, tmp_path):
    folder = shutil.copytree(runs["lora"], tmp_path / "run")
    results = unsealed(json.loads((folder / "results.json").read_text()))
    results["recipe"]["data"]["retain"] = [{"hub": "org/kept", "path": None}]
    (folder / "results.json").write_text(json.dumps(results))
    assert metadata_load(prepare(folder, "me/x", tmp_path / "out") / "README.md")["datasets"] == ["org/kept"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda run: shutil.rmtree(run / "model"), "holds no model"),
        (lambda run: (run / "model" / "pytorch_model.bin").write_bytes(b""), "is not a safetensors file"),
        (lambda run: (run / "model" / "model.safetensors").unlink(), r"no \*\.safetensors"),
        (lambda run: (run / "results.json").unlink(), r"no results\.json"),
    ],
)
def test_a_run_that_cannot_be_published_is_refused_in_a_line(change, message, runs, tmp_path):
    folder = shutil.copytree(runs["full"], tmp_path / "run")
    change(folder)
    with pytest.raises(RunError, match=message) as told:
        prepare(folder, "me/mine", tmp_path / "out")
    assert "\n" not in str(told.value)
    assert not (tmp_path / "out").exists()


def test_names_folders_tokens_and_the_network_are_checked(runs, tmp_path, monkeypatch):
    for name in ("mine", "a/b/c", "me/--", "me/a b"):
        with pytest.raises(RunError, match="write USER/NAME"):
            prepare(runs["full"], name, tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(RunError, match="is not empty"):
        prepare(runs["full"], "me/mine", tmp_path / "full")
    with pytest.raises(RunError, match="--base ORG/NAME"):
        push(runs["lora"], "me/mine", hub=Double())
    monkeypatch.setattr("forgetting.pipeline.finished_run.hub.get_token", lambda: None)
    with pytest.raises(RunError, match="no token"):
        push(runs["full"], "me/mine")
    with pytest.raises(RunError, match="cannot be reached"):
        push(runs["full"], "me/mine", hub=Double(ConnectionError("no route\nto host")))

    class RefusedError(HfHubHTTPError):
        def __init__(self) -> None:
            Exception.__init__(self, "403 Forbidden:\nno right to write")

    with pytest.raises(RunError, match="the hub refuses") as told:
        push(runs["full"], "me/mine", hub=Double(RefusedError()))
    assert "\n" not in str(told.value)


def test_the_base_on_the_hub_is_the_recipes_model_only_where_it_is_no_local_one(runs):
    run = Results.load(runs["full"])
    assert hub_base(run) is None
    from dataclasses import replace

    assert hub_base(replace(run, model="lab")) is None
    on_the_hub = {**run.environment, "start": "hub"}
    assert hub_base(replace(run, model="org/base", environment=on_the_hub)) == "org/base"
    assert hub_base(replace(run, model="org/base", environment={})) == "org/base"  # of an earlier version


def test_a_local_model_is_no_hubs_when_pushed_from_another_folder(runs, world, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(world / "model", "models/base")
    keys = ["model=models/base", f"data.forget={world / 'forget.jsonl'}", f"data.retain={world / 'retain.jsonl'}"]
    keys += ["method=graddiff", "adapter={kind: full}", "duration=1 steps", "evaluate_every=null", "keep=last"]
    folder = run(load_recipe("unlearn", [*keys, "dtype=float32", "max_new_tokens=4"]), report=False).absolute()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert hub_base(Results.load(folder)) is None
    assert "models/base" not in (prepare(folder, "me/mine", tmp_path / "out") / "README.md").read_text()


@pytest.mark.parametrize(("start", "said"), [("run", True), ("adapter", True), ("folder", False), ("hub", False)])
def test_the_card_says_that_a_run_began_with_the_result_of_an_earlier_one(start, said, runs, tmp_path, monkeypatch):
    results = Results.load(runs["lora"])
    began = replace(results, earlier=("first",), environment={**results.environment, "start": start})
    monkeypatch.setattr(publishing.Results, "load", staticmethod(lambda run: began))
    card = (prepare(runs["lora"], "me/mine", tmp_path / "out") / "README.md").read_text()
    assert ("What earlier runs were to forget was not measured again" in card) is said


@pytest.mark.parametrize(
    ("earlier", "sets", "said"),
    [
        (("first",), {"first": (Subset(of="forget", ids=("a",)),)}, "Not all that earlier runs were to forget was"),
        (("second",), {"first": (Subset(of="forget", ids=("a",)),)}, "Not all that earlier runs were to forget was"),
        ((), {"first": (Subset(of="forget", ids=("a",)),)}, ""),
        ((), {}, ""),
    ],
)
def test_the_card_denies_no_measurement_of_earlier_requests(earlier, sets, said, runs, tmp_path, monkeypatch):
    results = Results.load(runs["lora"])
    began = {**results.environment, "start": "run"}
    changed = replace(results, earlier=earlier, earlier_sets=sets, environment=began)
    monkeypatch.setattr(publishing.Results, "load", staticmethod(lambda run: changed))
    card = (prepare(runs["lora"], "me/mine", tmp_path / "out") / "README.md").read_text()
    assert ("measured again" in card) is bool(said) and said in card


@pytest.mark.parametrize(
    ("goal", "success", "said"),
    [
        ("forget/probability <= 1", False, "duration |"),  # at no evaluation on the way, but at the end
        ("forget/probability <= 0", False, "duration, goal not reached |"),
        ("forget/probability <= 1", True, "duration |"),
    ],
)
def test_the_card_says_of_a_goal_what_the_verdict_says(goal, success, said, runs, tmp_path, monkeypatch):
    results = Results.load(runs["lora"])
    changed = replace(results, stages=tuple(replace(s, goal=goal, success=success) for s in results.stages))
    monkeypatch.setattr(publishing.Results, "load", staticmethod(lambda run: changed))
    card = (prepare(runs["lora"], "me/mine", tmp_path / "out") / "README.md").read_text()
    (row,) = [line for line in card.splitlines() if line.startswith("| unlearn |")]
    assert row.endswith(said)


@pytest.mark.parametrize(
    ("status", "success", "first"),
    [("collapsed", None, "Training collapsed."), ("complete", False, "Stage unlearn did not reach its goal")],
)
def test_a_run_that_failed_is_pushed_only_on_purpose_and_its_card_says_so_first(status, success, first, runs, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(runs["full"], run)
    found = Results.load(run)
    RunFolder(run).write_results(
        replace(found, status=status, stages=tuple(replace(s, success=success) for s in found.stages))
    )
    with pytest.raises(RunError, match=f"{first}.*Add --despite-failure") as refused:
        publishing.prepare(run, "me/mine", tmp_path / "refused")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "refused").exists()
    card = (prepare(run, "me/mine", tmp_path / "out") / "README.md").read_text()
    body = card.split("\n---\n")[1].strip().split("\n\n")
    assert body[1].startswith(f"> **This run failed: {first}")


def test_the_card_of_a_run_that_only_learned_does_not_speak_of_forgetting(runs, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(runs["full"], run)
    found = Results.load(run)
    RunFolder(run).write_results(
        replace(found, stages=tuple(replace(s, method="sft", forgets=False) for s in found.stages))
    )
    card = (prepare(run, "me/mine", tmp_path / "out") / "README.md").read_text()
    assert "machine-unlearning" not in card
    assert "to be forgotten" not in card
    assert "## What was learned" in card


def test_a_license_is_written_as_the_hub_writes_it(runs, tmp_path):
    how = replace(ANYWAY, base="org/base", license_name="my own\n---")
    with pytest.raises(RunError, match=r"^--license 'my own ---': write it as the hub does, such as apache-2\.0"):
        prepare(runs["lora"], "me/mine", tmp_path / "out", how=how)
    assert not (tmp_path / "out").exists()
