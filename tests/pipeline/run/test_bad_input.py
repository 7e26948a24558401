"""Bad input ends in one line that names the file, row or key, exit code 2, and nothing half-written."""

import json
import os
import shutil
from pathlib import Path

import pytest
import yaml

from forgetting import cli
from forgetting.core.folder import MARK
from forgetting.pipeline.run import evaluator as measuring
from forgetting.pipeline.run.run import run
from forgetting.recipe import load_recipe


def forget(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Runs the command in this process; it must end with code 2 and one line. Returns the line."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["forget", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
    assert ended.value.code == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("forget: ")]
    assert len(error) == 1
    return error[0]


def output(recipe_file: Path) -> Path:
    return Path(yaml.safe_load(recipe_file.read_text())["output"]) / "run"


def test_malformed_line(recipe_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [json.dumps({"question": f"q{i}", "answer": f"a{i}"}) for i in range(20)]
    rows[16] = '{"question": "q16", "answer": '
    (tmp_path / "bad.jsonl").write_text("\n".join(rows))
    line = forget(capsys, "run", recipe_file, f"data.forget={tmp_path / 'bad.jsonl'}")
    assert "bad.jsonl:17: not JSON" in line
    assert not output(recipe_file).exists()


def test_missing_column(recipe_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.csv").write_text("question,reply\nwho,me\n")
    line = forget(capsys, "run", recipe_file, f"data.forget={tmp_path / 'bad.csv'}")
    assert "bad.csv:2: no column for the response" in line
    assert "columns: {response: …}" in line


def test_empty_forget_set(recipe_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.jsonl").write_text("\n")
    assert "holds no examples" in forget(capsys, "run", recipe_file, f"data.forget={tmp_path / 'empty.jsonl'}")


def test_overlap_of_forget_and_retain_is_a_warning_with_counts(
    recipe_file: Path, world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = (world / "retain.jsonl").read_text() + (world / "forget.jsonl").read_text().splitlines()[3] + "\n"
    (tmp_path / "both.jsonl").write_text(both)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr(
            "sys.argv", ["forget", "run", str(recipe_file), f"data.retain={tmp_path / 'both.jsonl'}", "--dry-run"]
        )
        cli.main()
    assert ended.value.code == 0
    assert "warning: 1 of 12 forget examples are also in the retain set" in capsys.readouterr().err


def test_retain_equal_to_forget(recipe_file: Path, world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = forget(capsys, "run", recipe_file, f"data.retain={world / 'forget.jsonl'}")
    assert "every forget example is also in the retain set (12 of 12)" in line


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("stages.0.learning_rat=1e-4", "did you mean 'learning_rate'?"),
        ("learning_rat=1e-4", "did you mean 'learning_rate'?"),
        ("modle=x", "did you mean 'model'?"),
        ("adapter.rnak=3", "did you mean 'rank'?"),
        ("method=graddif", "did you mean 'graddiff'?"),
        ("method.bta=1", "did you mean 'beta'?"),
        ("data.forgot=x.jsonl", "did you mean 'forget'?"),
        ("evaluate=[labb]", "did you mean 'lab'?"),
        ("batch_size=many", "'stages.0.batch_size'"),
        ("learning_rate=-1", "'stages.0.learning_rate'"),
        ("report_to=[tensorbord]", "did you mean 'tensorboard'?"),
        ("stages.0={method: sft, keep: best, evaluate_every: null}", "'best' needs evaluations"),
        ("duration=5 parsecs", "is not a duration"),
        ("stages.0.adapter.dropout=1.5", "'stages.0.adapter.dropout'"),
        ("learning_rate=.inf", "'stages.0.learning_rate': Input should be a finite number (got inf)"),
        (
            "until=forget/probabilty <= 0.1",
            "no measure is called 'forget/probabilty'; did you mean 'forget/probability'?",
        ),
        ("stages.0.method={name: rmu, layer: 2}", "layer 2: the model has 2 decoder blocks; write a layer"),
        ("metrics=[exact_match, exact_match]", "metrics: 'exact_match' is asked for twice"),
        ("stages.0.method={name: gru, add_retain: no_please}", "add_retain is 'no_please'; it must be true or false"),
        ("reference=lab + 0.5*out/rmu", "reference is 'lab + 0.5*out/rmu', and there is no such folder"),
    ],
)
def test_unknown_keys_and_wrong_types(
    recipe_file: Path, capsys: pytest.CaptureFixture[str], override: str, said: str
) -> None:
    if override.startswith(("method.bta", "reference=")):
        assert said in forget(capsys, "run", recipe_file, "method=npo", override)
    else:
        assert said in forget(capsys, "run", recipe_file, override)
    assert not output(recipe_file).exists()


def test_missing_model_folder(recipe_file: Path, world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = forget(capsys, "run", recipe_file, f"model={world / 'modle'}")
    assert "no such model folder; did you mean 'model'?" in line


def test_tokenizer_without_pad_token_works(recipe_file: Path, world: Path, tmp_path: Path) -> None:
    model = shutil.copytree(world / "model", tmp_path / "no-pad")
    config = json.loads((model / "tokenizer_config.json").read_text())
    config.pop("pad_token")
    (model / "tokenizer_config.json").write_text(json.dumps(config))
    (model / MARK).unlink()
    folder = run(load_recipe(str(recipe_file), [f"model={model}", "duration=1 steps"]))
    assert json.loads((folder / "results.json").read_text())["status"] == "complete"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_output_folder(recipe_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    assert "cannot be written" in forget(capsys, "run", recipe_file, f"output={tmp_path / 'locked'}")


def test_output_that_is_a_file(recipe_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be written" in forget(capsys, "run", recipe_file, f"output={tmp_path / 'file'}")


def test_a_folder_with_another_recipe_is_refused(recipe_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(load_recipe(str(recipe_file), ["duration=1 steps"]))
    line = forget(capsys, "run", recipe_file, "duration=2 steps")
    assert "holds a run of another recipe" in line


def test_nan_loss_stops_with_the_last_good_weights(recipe_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = forget(capsys, "run", recipe_file, "learning_rate=1e30", "max_grad_norm=null", "duration=6 steps")
    assert "collapsed" in line
    results = json.loads((output(recipe_file) / "results.json").read_text())
    assert results["status"] == "collapsed"
    assert "is nan" in results["stages"][0]["message"] or "is inf" in results["stages"][0]["message"]
    assert (output(recipe_file) / "model" / "adapter_model.safetensors").is_file()


def test_a_stale_half_written_checkpoint_is_discarded(recipe_file: Path) -> None:
    lines: list[str] = []
    recipe = load_recipe(str(recipe_file), ["duration=1 steps"])
    half = output(recipe_file) / "stages" / "unlearn" / ".last.partial"
    half.mkdir(parents=True)
    (half / "weights.safetensors").write_bytes(b"half")
    (output(recipe_file) / "recipe.yaml").write_text(recipe.to_yaml())
    run(recipe, voice=measuring.Voice(say=lines.append))
    assert not half.exists()
    assert (output(recipe_file) / "report.html").is_file()


def test_oracle_of_other_questions(
    recipe_file: Path, world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.jsonl"
    rows = [{"question": f"Why {i}?", "answer": "So.", "perturbed": ["No."]} for i in range(12)]
    other.write_text("".join(json.dumps(r) + "\n" for r in rows))
    forget_rows = [json.loads(r) | {"perturbed": ["No."]} for r in (world / "forget.jsonl").read_text().splitlines()]
    mine = tmp_path / "mine.jsonl"
    mine.write_text("".join(json.dumps(r) + "\n" for r in forget_rows))
    records = tmp_path / "oracle-records.jsonl"
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(
            "sys.argv",
            ["forget", "eval", str(world / "model"), "--forget", str(other), "--records", str(records), "--json"],
        )
        cli.main()
    line = forget(capsys, "run", recipe_file, f"data.forget={mine}", f"oracle={records}")
    assert "oracle" in line


def test_missing_role_names_what_to_write(
    recipe_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = yaml.safe_load(recipe_file.read_text())
    del recipe["data"]["retain"]
    path = tmp_path / "less.yaml"
    path.write_text(yaml.safe_dump(recipe))
    assert "needs retain data; write data.retain=…" in forget(capsys, "run", path)


def test_unknown_recipe_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert "did you mean 'unlearn'?" in forget(capsys, "run", "unlern")


def test_report_of_something_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert str(tmp_path) in forget(capsys, "report", tmp_path)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("evaluate=[nosuch]", "evaluate: unknown suite 'nosuch'"),
        ("evaluate=3", "'evaluate': 3 names no suite; write a suite, a list of suites"),
        ("data.forget={suite: nosuch}", "data.forget: unknown suite 'nosuch'"),
        ("data.forget=/no/such.jsonl", "data.forget: /no/such.jsonl: no such file"),
        ("data.forget=[]", "'data.forget': "),
        ("data.forget=''", "'data.forget.0.path': String should have at least 1 character"),
        ("oracle=''", "'oracle': String should have at least 1 character"),
        ('output="a\\0b"', "'output': it holds a null or half of a character"),
        ("adapter={kind: lora, rank: 100000}", "adapter.rank is 100,000, but the largest side of the targets in"),
        ("method={name: [npo]}", "its name is ['npo']; write a name"),
        ("threads=9999999999999", "'threads': Input should be less than or equal to 4096"),
        ("duration=1e30 steps", "'1e30 steps' is not a duration"),
        ("duration=1e400 steps", "'1e400 steps' is not a duration"),
        ("device=mps:7", "this torch finds no such device"),
        ("device=xpu", "this torch finds no such device"),
        ("device=meta", "this torch finds no such device"),
        ("device='cpu:5'", "there is no device of this number"),
        ("seed=true", "'seed': true is not a number"),
        ("model=~nosuch-user/x", "there is no such home folder"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_written(
    recipe_file: Path, capsys: pytest.CaptureFixture[str], override: str, said: str
) -> None:
    assert said in forget(capsys, "run", recipe_file, override)
    assert not output(recipe_file).exists()


def test_keys_that_would_do_nothing_are_refused(
    recipe_file: Path, world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = world / "model"
    line = forget(capsys, "run", recipe_file, f"model={model}", "revision=main", "--dry-run")
    assert line == f"forget: 'revision' is main, but {model} is not on the hub; leave it out"
    line = forget(
        capsys, "run", recipe_file, f"data.forget={{path: {world / 'forget.jsonl'}, split: test}}", "--dry-run"
    )
    assert "'split' is test, but only datasets of the hub have splits; leave it out" in line
    line = forget(capsys, "run", recipe_file, f"oracle={world / 'orakle'}", "--dry-run")
    assert "orakle: no such model folder" in line
