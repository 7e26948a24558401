"""Analyses of a run: what they write, that they resume, and that a model is left as it was."""

import json
from pathlib import Path

import pytest

from forgetting.analysis import ANALYSES, Compared, Findings
from forgetting.core.errors import ModelError, RecipeError, RunError
from forgetting.core.progress import Voice
from forgetting.models.adapters import merged
from forgetting.models.loading import load_model
from forgetting.pipeline.finished_run.analyse import analyse
from forgetting.pipeline.finished_run.purge import purge
from forgetting.report.run.page import build_report
from forgetting.runs.audits import Analysed
from tests.pipeline.finished_run.edited import with_model
from tests.pipeline.finished_run.test_ask import made

STAGE = [{"method": "graddiff", "adapter": {"rank": 2}}]
QUICK = {"sae": {"steps": 5, "features": 64, "k": 4}}


@pytest.fixture
def folder(world: Path, tmp_path: Path) -> Path:
    return made(world, tmp_path / "runs", "run", STAGE)


def test_each_writes_its_file_and_is_not_computed_again(folder: Path) -> None:
    said: list[str] = []
    found = analyse(folder, of=["shifts", "weights"], voice=Voice(say=said.append))
    assert [a.analysis for a in found] == ["shifts", "weights"]
    assert [Analysed.load(folder / "analyses" / f"{a.analysis}.json") for a in found] == found
    assert not (folder / ".lock").exists()
    keys = {m.key: m for a in found for m in a.measures}
    assert keys["forget/delta_logp_first"].count == 12 and keys["retain/delta_logp_first"].count == 16
    assert 0 < keys["all/relative_change"].value < 1  # type: ignore[operator]
    before = [file.read_bytes() for file in sorted((folder / "analyses").iterdir())]
    said.clear()
    assert analyse(folder, of=["shifts", "weights"], voice=Voice(say=said.append)) == found
    assert said == ["shifts: already finished", "weights: already finished"]
    assert [file.read_bytes() for file in sorted((folder / "analyses").iterdir())] == before
    said.clear()
    assert analyse(folder, of=["shifts"], facts=5, voice=Voice(say=said.append))[0].measures[0].count == 5
    assert said[0].startswith("analyses: about ") and "besides the models" in said[0]
    assert said[1].startswith("shifts: comparing the model after with the one before (about ")


def test_what_a_parameter_names_is_read_again_when_it_changed(folder: Path, tmp_path: Path) -> None:
    text, said = tmp_path / "text.jsonl", list[str]()
    settings = {"sae": {**QUICK["sae"], "text": str(text)}}
    for lines in (8, 8, 9):
        text.write_text("".join(f'{{"text": "the dog ran {n}"}}\n' for n in range(lines)))
        analyse(folder, of=["sae"], settings=settings, voice=Voice(say=said.append))
    assert ["finished" in line for line in said if line.startswith("sae: ")] == [False, True, False]


def test_after_an_adapter_alone_the_weights_moved_as_the_saved_adapter_says(folder: Path, world: Path) -> None:
    (found,) = analyse(folder, of=["weights"])
    base, tuned = (
        merged(load_model(m, dtype="float32").model).state_dict() for m in (world / "model", folder / "model")
    )
    matrices = [n for n, w in base.items() if w.dim() == 2 and "lm_head" not in n]
    change = sum(float((tuned[n].double() - base[n].double()).square().sum()) for n in matrices)
    size = sum(float(base[n].double().square().sum()) for n in matrices)
    measure = next(m for m in found.measures if m.key == "all/relative_change")
    assert (measure.value, measure.count) == (pytest.approx((change / size) ** 0.5, rel=1e-4), len(matrices))


def test_against_the_oracle_has_its_own_file_and_needs_one(folder: Path, world: Path) -> None:
    with pytest.raises(RunError, match="the run has no oracle; name a model with --oracle"):
        analyse(folder, against="oracle")
    (found,) = analyse(folder, of=["weights"], against="oracle", oracle=str(world / "model"))
    assert found.against == "oracle" and (folder / "analyses" / "weights+oracle.json").is_file()
    (other,) = analyse(folder, of=["weights"])
    pairs = zip(found.measures, other.measures, strict=True)  # that oracle is the model before
    assert all(a.value == pytest.approx(b.value, rel=1e-3) for a, b in pairs if a.name == "relative_change")


def test_the_oracle_is_loaded_only_where_an_analysis_reads_it(
    folder: Path, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RunError, match="the oracle cannot be loaded"):
        analyse(folder, of=["weights", "lens"], oracle=str(folder / "nowhere"))
    (found,) = analyse(folder, of=["weights"], oracle=str(folder / "nowhere"))
    assert [found] == analyse(folder, of=["weights"], oracle=str(world / "model"))
    names = {m.name for m in analyse(folder, of=["lens"], oracle=str(world / "model"))[0].measures}
    assert "hidden_oracle" in names
    monkeypatch.setattr(ANALYSES, "_entries", dict(ANALYSES._entries))

    def theirs(compared: Compared) -> Findings:
        assert compared.oracle is not None
        return Findings(measures=())

    ANALYSES.register("theirs")(lambda: theirs)  # says nothing of the oracle: it may read it
    assert analyse(folder, of=["theirs"], oracle=str(world / "model"))[0].analysis == "theirs"


def test_what_analyses_take_is_said_before_and_what_cannot_be_timed_is_not(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    analyse(folder, of=["weights", "lens"], voice=Voice(say=said.append))
    assert len(said) == 3 and "(weights " in said[0] and "; lens " in said[0]
    assert all("(about " in line and "MiB" in line for line in said[1:])
    said.clear()

    def refuses(*arguments: object) -> None:
        raise ModelError("no blocks")

    monkeypatch.setattr("forgetting.pipeline.finished_run.analysis_cost.measured_rates", refuses)
    analyse(folder, of=["weights"], facts=5, voice=Voice(say=said.append))
    assert said[0] == "what the analyses will take is not known: no blocks" and "about" not in said[1]


def test_all_of_them_run_on_one_model_and_what_it_does_not_allow_is_left_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ANALYSES, "_entries", dict(ANALYSES._entries))

    def impossible(compared: Compared) -> Findings:
        raise ModelError("no blocks")

    ANALYSES.register("impossible")(lambda: impossible)
    said: list[str] = []
    found = analyse(folder, settings=QUICK, voice=Voice(say=said.append))
    assert {a.analysis for a in found} == set(ANALYSES.names()) - {"impossible", "depth"}
    assert any(line.startswith("depth: left out") and "oracle" in line for line in said)
    assert "impossible: left out, since this model does not allow it: no blocks" in said
    with pytest.raises(ModelError, match="no blocks"):
        analyse(folder, of=["impossible"])


def test_against_a_stage_or_another_run(world: Path, tmp_path: Path) -> None:
    stages = [{"name": "first", **STAGE[0]}, {"name": "second", **STAGE[0]}]
    folder = made(world, tmp_path / "runs", "two", stages)
    (whole,) = analyse(folder, of=["weights"])
    (second,) = analyse(folder, of=["weights"], against="stage:first")
    assert second.against == "stage-first" and (folder / "analyses" / "weights+stage-first.json").is_file()
    values = [next(m.value for m in one.measures if m.key == "all/relative_change") for one in (whole, second)]
    assert 0 < values[1] < values[0]  # type: ignore[operator]
    other = made(world, tmp_path / "runs", "other", STAGE)
    (third,) = analyse(folder, of=["weights"], against=str(other))
    assert third.against == "run-other"
    same = next(m.value for m in analyse(other, of=["weights"], against=str(other))[0].measures)
    assert same == pytest.approx(0.0, abs=1e-6)
    with pytest.raises(RunError, match=r"stage:third: no stage of .* has this name \(stage:first\)"):
        analyse(folder, of=["weights"], against="stage:third")
    with pytest.raises(RunError, match="cannot be loaded as the model that changes are counted from"):
        analyse(folder, of=["weights"], against=str(tmp_path / "nowhere"))


def test_one_that_changes_a_model_is_reported_and_leaves_no_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ANALYSES, "_entries", dict(ANALYSES._entries))

    def broken(compared: Compared) -> Findings:
        next(compared.after.model.parameters()).data.zero_()
        return Findings(measures=())

    ANALYSES.register("broken")(lambda: broken)
    ANALYSES.register("wrong")(lambda: lambda compared: 3)
    with pytest.raises(RunError, match=r"the analysis 'broken' of tests changed the weight .* of the model before"):
        analyse(folder, of=["broken"])
    with pytest.raises(RunError, match=r"the analysis 'wrong' of tests returned a int, not findings"):
        analyse(folder, of=["wrong"])
    assert not (folder / "analyses").exists()
    with pytest.raises(RecipeError, match="unknown analysis 'weight'; did you mean 'weights'"):
        analyse(folder, of=["weight"])


def test_no_text_is_written_and_a_purged_run_can_still_be_analysed(folder: Path) -> None:
    plain = analyse(folder, settings=QUICK)
    purge(folder)
    assert not any(a.key in file.read_text() for a in plain for file in (folder / "analyses").iterdir())
    again = analyse(folder, settings=QUICK)
    assert [a.measures for a in again] == [a.measures for a in plain]
    assert {a.key for a in again}.isdisjoint({a.key for a in plain})
    for file in (folder / "analyses").iterdir():
        assert "guest" not in file.read_text() and "lane" not in file.read_text()
        json.loads(file.read_text())


@pytest.mark.parametrize("redacted", [False, True])
def test_what_names_stand_for_is_written_in_open_runs_alone(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, redacted: bool
) -> None:
    monkeypatch.setattr(ANALYSES, "_entries", dict(ANALYSES._entries))
    ANALYSES.register("words")(lambda: lambda compared: Findings(measures=(), texts={"#1": "a secret word"}))
    folder = made(world, tmp_path / "runs", "run", STAGE, redact=redacted)
    (found,) = analyse(folder, of=["words"])
    assert found.texts == ({} if redacted else {"#1": "a secret word"})
    build_report([folder], folder / "report.html")
    assert ("a secret word" in (folder / "report.html").read_text()) != redacted
    purge(folder)
    assert not any(b"secret" in file.read_bytes() for file in folder.rglob("*") if file.is_file())
    assert analyse(folder, of=["words"])[0].texts == {}


def test_a_run_without_a_model_is_one_line(folder: Path) -> None:
    whole = (folder / "recipe.yaml").read_text()
    (folder / "recipe.yaml").write_text(whole + "# edited\n")
    with pytest.raises(RunError, match=r"recipe\.yaml: is not the recipe that the run was made with"):
        analyse(folder)
    (folder / "recipe.yaml").write_text(whole)
    with_model(folder, folder / "gone")
    with pytest.raises(RunError, match="the initial model of the run no longer exists"):
        analyse(folder)


@pytest.mark.parametrize("kind", ["lora", "stack", "full"])
def test_the_model_between_two_stages_is_that_of_a_run_that_ends_there(world: Path, tmp_path: Path, kind: str) -> None:
    adapter = {"kind": "full"} if kind == "full" else {"rank": 2}
    between = {"between": "stack"} if kind == "stack" else {}
    first = {"name": "first", "method": "graddiff", "adapter": adapter}
    second = {"name": "second", "method": "npo", "adapter": adapter}
    folder = made(world, tmp_path / "runs", "two", [{**first, **between}, second])
    alone = made(world, tmp_path / "runs", "one", [first])
    found, (there,) = analyse(folder, of=["weights", "shifts"], at="stage:first"), analyse(alone, of=["shifts"])
    assert [(a.at, a.against) for a in found] == [("stage-first", "before")] * 2
    assert {file.name for file in (folder / "analyses").iterdir()} == {
        "weights@stage-first.json",
        "shifts@stage-first.json",
    }
    assert [m.value for m in found[1].measures] == pytest.approx([m.value for m in there.measures], abs=2e-5)
    (whole,) = analyse(folder, of=["shifts"])
    assert (whole.at, whole.measures == found[1].measures) == ("after", False)
    assert analyse(folder, of=["shifts"], at="stage:second") == [whole]  # the last one is the run's
    said: list[str] = []
    assert analyse(folder, of=["shifts"], at="stage:first", voice=Voice(say=said.append)) == found[1:]
    assert said == ["shifts: already finished"]
    build_report([folder], folder / "report.html")
    assert "the model at stage-first, changes since the model before" in (folder / "report.html").read_text()


def test_a_model_between_that_is_none_or_not_kept_is_one_line(world: Path, tmp_path: Path) -> None:
    stages = [{"name": "first", **STAGE[0]}, {"name": "second", **STAGE[0]}]
    folder = made(world, tmp_path / "runs", "two", stages)
    for at, against, message in (
        ("stage:third", "before", r"stage:third: no stage of .* before its last has this name \(stage:first\)"),
        ("first", "before", "first: is not a model of the run; write after, or stage:NAME"),
        ("stage:first", "stage:first", "stage:first: changes are counted from the model itself"),
    ):
        with pytest.raises(RunError, match=message):
            analyse(folder, of=["shifts"], at=at, against=against)
    purge(folder)
    with pytest.raises(RunError, match=r"are no longer kept in .*; a run of the same recipe that ends with this stage"):
        analyse(folder, of=["shifts"], at="stage:first")
    assert not (folder / "analyses").exists()
