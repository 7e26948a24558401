"""Audits of a run: who is asked what, what is written, that they resume, and that no model is changed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from forgetting.audits import ATTACKS, Attack, Run, Target, as_attack, relearn
from forgetting.benchmarks.suite import Split, Suite
from forgetting.benchmarks.untrained_model import blank_model
from forgetting.core.errors import DataError, ModelError, RecipeError, RunError
from forgetting.core.folder import mark_of
from forgetting.core.measure import Measure
from forgetting.core.progress import Voice
from forgetting.core.record import Record, Score, read_records
from forgetting.data.formatting import Formatting
from forgetting.models.loading import load_model
from forgetting.pipeline.audit.audit import audit
from forgetting.pipeline.finished_run.examples import data_of, examples_of
from forgetting.pipeline.finished_run.models import recipe_of
from forgetting.pipeline.finished_run.purge import plan_purge, purge
from forgetting.runs.audits import Asked, Audit
from tests.conftest import write_rows
from tests.pipeline.finished_run.test_ask import made

STAGE = [{"method": "graddiff", "adapter": {"rank": 2}}]
FEW = {"context": {"shots": 2, "draws": 2}, "sample": {"n": 3}}


@pytest.fixture
def folder(world: Path, tmp_path: Path) -> Path:
    return made(world, tmp_path / "runs", "run", STAGE)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ATTACKS, "_entries", dict(ATTACKS._entries))


def register(name: str, attack: Attack | Run) -> None:
    ATTACKS.register(name)(lambda: attack)


def plain(target: Target) -> list[Record]:
    return [
        Record(id=e.id, split=target.split, prompt=e.prompt, answer=e.response, generation="x") for e in target.examples
    ]


def test_every_model_is_asked_the_same_and_records_and_measures_are_those_of_the_attack(
    folder: Path, world: Path
) -> None:
    found = audit(folder, attacks=list(FEW), settings=FEW, oracle=str(world / "model"), seed=4)
    assert [a.attack for a in found] == list(FEW)
    recipe = recipe_of(folder)
    examples = examples_of(recipe, data_of(folder, recipe))
    for one in found:
        assert Audit.load(folder / "audits" / f"{one.attack}.json") == one
        assert list(one.points) == ["before", "after", "oracle"]
        for point, source in (("before", world / "model"), ("after", folder / "model"), ("oracle", world / "model")):
            loaded = load_model(source, dtype="float32")
            attack = ATTACKS.build(one.attack, FEW[one.attack])
            expected: list[Record] = []
            for split in ("forget", "retain"):
                target = Target(
                    model=loaded.model,
                    tokenizer=loaded.tokenizer,
                    split=split,
                    examples=examples[split],
                    retain=examples["retain"],
                    formatting=Formatting(),
                    max_new_tokens=6,
                    seed=4,
                )
                expected += attack(target)
            records = read_records(folder / one.points[point].records)
            assert [(r.id, r.split, r.prompt) for r in records] == [(r.id, r.split, r.prompt) for r in expected]
            if point != "after":  # there the adapter lies beside the weights, here it is merged into them
                assert [r.generation for r in records] == [r.generation for r in expected]
            by_split = {s: [r for r in records if r.split == s] for s in ("forget", "retain")}
            assert list(one.points[point].measures) == as_attack(attack).measures(by_split)
    assert found[1].points["before"].measures == found[1].points["oracle"].measures  # the same model here


def test_what_is_finished_is_not_run_again_and_other_questions_are(folder: Path, registered: None) -> None:
    calls: list[str] = []

    def counted(target: Target) -> Sequence[Record]:
        if len(calls) == 3:
            calls.append("killed")
            raise KeyboardInterrupt
        calls.append(target.split)
        return plain(target)

    register("counted", counted)
    with pytest.raises(KeyboardInterrupt):
        audit(folder, attacks=["counted"])
    there = Audit.load(folder / "audits" / "counted.json")
    assert there is not None and list(there.points) == ["before"]
    said: list[str] = []
    done = audit(folder, attacks=["counted"], voice=Voice(say=said.append))
    assert said == ["counted: the model before is already finished", "counted: attacking the model after"]
    assert calls == ["forget", "retain", "forget", "killed", "forget", "retain"]
    assert audit(folder, attacks=["counted"]) == done and len(calls) == 6
    audit(folder, attacks=["counted"], seed=1)
    assert len(calls) == 10
    (folder / done[0].points["after"].records).unlink()
    audit(folder, attacks=["counted"], seed=1)
    assert len(calls) == 12
    assert not (folder / ".lock").exists()


def test_attacks_of_one_function_are_run_once_on_each_model(folder: Path, registered: None) -> None:
    calls: list[str] = []

    def once(target: Target) -> Sequence[Record]:
        calls.append(target.split)
        return plain(target)

    register("one", Attack(run=once))
    register("other", Attack(run=once, leaks=()))
    register("narrow", Attack(run=once, splits=("forget",)))
    one, other, narrow = audit(folder, attacks=["one", "other", "narrow"])
    assert calls == ["forget", "retain", "forget"] * 2
    for first, second in zip(one.points.values(), other.points.values(), strict=True):
        assert read_records(folder / first.records) == read_records(folder / second.records)
    assert {r.split for r in read_records(folder / narrow.points["after"].records)} == {"forget"}
    assert ATTACKS.build("greedy").run is ATTACKS.build("health").run


def test_another_run_takes_over_what_was_found_of_the_models_that_both_have(
    world: Path, folder: Path, registered: None
) -> None:
    asked: list[bool] = []  # for each model and split, whether there were records of the model before

    def counted(target: Target) -> Sequence[Record]:
        asked.append(bool(target.before))
        return plain(target)

    register("counted", counted)
    oracle = str(made(world, folder.parent, "oracle", STAGE, seed=1) / "model")
    first = audit(folder, attacks=["counted"], oracle=oracle)[0]
    second = made(world, folder.parent, "second", STAGE, seed=2)
    said: list[str] = []
    found = audit(second, attacks=["counted"], oracle=oracle, voice=Voice(say=said.append))[0]
    assert asked == [False, False, True, True, True, True, True, True]  # of the second run, the model after alone
    assert said[1] == "counted: another run has attacked the model before; its records are taken"
    for point in ("before", "oracle"):
        assert found.points[point].measures == first.points[point].measures
        assert (second / found.points[point].records).read_bytes() == (
            folder / first.points[point].records
        ).read_bytes()
    audit(second, attacks=["counted"], oracle=str(world / "model"))
    assert len(asked) == 10  # another oracle is asked
    hidden = made(world, folder.parent, "hidden", STAGE, redact=True)
    audit(hidden, attacks=["counted"], oracle=oracle)
    assert len(asked) == 16  # a redacted run takes nothing and leaves nothing


def test_an_attack_that_changes_the_model_or_answers_other_questions_is_reported(
    folder: Path, registered: None
) -> None:
    def trains(target: Target) -> Sequence[Record]:
        next(target.model.parameters()).data.mul_(1.5)
        return plain(target)

    def draws(target: Target) -> Sequence[Record]:
        torch.rand(1)
        return plain(target)

    def strays(target: Target) -> Sequence[Record]:
        return [Record(id="?", split=target.split, prompt="", answer="")]

    certain = r"attack 'certain' of tests returned a log p of 3 for an answer; that of a probability is 0 at most"
    for name, attack, message in (
        ("trains", trains, r"attack 'trains' of tests changed the weight .*embed_tokens.* of the model before"),
        ("draws", draws, r"attack 'draws' of tests changed the random state of torch"),
        ("strays", strays, r"attack 'strays' of tests returned a record of 'forget' for the split 'forget'"),
        ("certain", lambda target: [replace(r, score=Score(logp=3.0, tokens=2)) for r in plain(target)], certain),
        ("nothing", lambda target: [None], r"attack 'nothing' of tests returned a NoneType for the split 'forget'"),
    ):
        register(name, attack)  # type: ignore[arg-type]
        with pytest.raises(RunError, match=message) as told:
            audit(folder, attacks=[name])
        assert "\n" not in str(told.value)
        assert not (folder / "audits" / f"{name}.json").exists()


def test_an_attack_that_is_compared_by_an_unknown_value_is_refused_before_any_model_is_attacked(
    folder: Path, registered: None
) -> None:
    ATTACKS.register("named")(lambda: Attack(run=plain, leaks=("leak", "likelihood")))
    with pytest.raises(RecipeError, match=r"attack 'named' of tests is to be compared by 'likelihood'; .*probability"):
        audit(folder, attacks=["named"])
    assert not (folder / "audits" / "named.json").exists()


def test_an_oracle_that_is_nowhere_or_reads_other_tokens_is_refused(
    world: Path, tmp_path: Path, folder: Path, registered: None
) -> None:
    register("plain", plain)
    with pytest.raises(ModelError, match="nowhere: no such model folder"):
        audit(folder, attacks=["plain"], oracle=str(tmp_path / "nowhere"))
    assert not (folder / "audits").exists()
    blank_model(tmp_path / "other", [world / "retain.jsonl"], hidden=32, layers=1, vocabulary=300)
    with pytest.raises(RunError, match="the model oracle has another tokenizer than the model before"):
        audit(folder, attacks=["plain"], oracle=str(tmp_path / "other"))
    with pytest.raises(RunError, match="the oracle has the very weights of the model after"):
        audit(folder, attacks=["plain"], oracle=str(folder))


def test_an_adapter_that_holds_nan_is_refused_and_its_silence_is_no_forgetting(folder: Path) -> None:
    file = folder / "model" / "adapter_model.safetensors"
    save_file({name: weight * torch.nan for name, weight in load_file(file).items()}, file)
    mark_of(folder / "model").unlink()
    with pytest.raises(ModelError, match=r"model: .* weights hold NaN or infinity"):
        audit(folder, attacks=["greedy"])
    kept = Audit.load(folder / "audits" / "greedy.json")
    assert kept is not None and set(kept.points) == {"before"}


def test_an_attack_that_has_none_of_the_runs_data_to_ask_for_is_left_out(
    world: Path, tmp_path: Path, registered: None
) -> None:
    stage = {"method": "ga", "adapter": {"rank": 2}}
    run = made(world, tmp_path / "runs", "run", [stage], data={"forget": str(world / "forget.jsonl")})
    with pytest.raises(DataError, match="the run has no retain data to ask for; leave this attack out"):
        audit(run, attacks=["near"])
    assert Asked.load(run / "audit.json") == Asked(attacks=("near",), left_out=("near",))


def test_the_model_on_disk_and_the_rest_of_the_run_stay_as_they_were(folder: Path) -> None:
    files = {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
    audit(folder, attacks=list(FEW), settings=FEW)
    now = {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
    written = {p.name for p in now if "audits" not in p.parts and p not in files}
    assert written == {"audit.json"} and {p: now[p] for p in files} == files


def test_a_redacted_run_is_audited_without_a_text_and_with_the_same_numbers(
    world: Path, folder: Path, tmp_path: Path
) -> None:
    hidden = made(world, tmp_path / "other", "run", STAGE, redact=True)
    shown, redacted = audit(folder, attacks=list(FEW), settings=FEW), audit(hidden, attacks=list(FEW), settings=FEW)
    for a, b in zip(shown, redacted, strict=True):
        assert [p.measures for p in a.points.values()] == [p.measures for p in b.points.values()]
        assert a.asked != b.asked
    written = [p for p in (hidden / "audits").rglob("*") if p.is_file()]
    assert len(written) == 6
    for file in written:
        text = file.read_text()
        assert not any(word in text for word in ("guest", "lane", "house", "sauce", "cook"))
    assert all(r.redacted is not None for r in read_records(hidden / "audits" / "sample" / "after.jsonl"))


def test_a_purge_takes_the_texts_of_audits_too(folder: Path) -> None:
    audit(folder, attacks=list(FEW), settings=FEW)
    planned = [item.path for item in plan_purge(folder).items if "audits" in item.path.parts]
    assert {path.name for path in planned} == {"before.jsonl", "after.jsonl"}
    asked = audit(folder, attacks=list(FEW), settings=FEW)[0].asked
    purge(folder)
    for file in (folder / "audits").rglob("*"):
        assert not file.is_file() or "guest" not in file.read_text()
        assert not file.is_file() or asked not in file.read_text()
    audit(folder, attacks=list(FEW), settings=FEW)  # a purged run is audited without texts
    assert all(r.redacted is not None for r in read_records(folder / "audits" / "context" / "before.jsonl"))


def test_a_run_that_forgets_nothing_cannot_be_audited(world: Path, tmp_path: Path) -> None:
    folder = made(
        world,
        tmp_path,
        "learn",
        [{"method": "sft", "adapter": {"rank": 2}}],
        data={"train": str(world / "retain.jsonl")},
    )
    with pytest.raises(DataError, match="has no forget data, so there is nothing to audit"):
        audit(folder)


SMALL = {
    "form": {},
    "prompt": {},
    "quantise": {"to": "int4"},
    "relearn-kin": {"rates": "1e-3", "steps": 2, "every": 2, "batch_size": 2, "rank": 2},
    "near": {},
    "health": {},
}


def test_every_attack_leaves_the_models_and_of_a_redacted_run_no_text(world: Path, tmp_path: Path) -> None:
    hidden = made(world, tmp_path, "run", STAGE, redact=True)
    before = {p: p.read_bytes() for p in sorted((hidden / "model").rglob("*")) if p.is_file()}
    found = audit(hidden, attacks=list(SMALL), settings=SMALL)
    assert [a.attack for a in found] == list(SMALL)
    assert {p: p.read_bytes() for p in before} == before
    for file in (hidden / "audits").rglob("*"):
        text = file.read_text() if file.is_file() else ""
        assert not any(word in text for word in ("guest", "lane", "house", "sauce", "cook"))
    values = {m.key: m.value for m in found[0].points["after"].measures}
    assert values["forget/best_choice"] is not None and found[0].leaks == ("leak", "probability", "choice")
    assert found[-1].leaks == ()


def test_by_a_set_an_attack_that_the_data_do_not_allow_is_left_out_and_by_its_name_it_is_an_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(target: Target) -> Sequence[Record]:
        raise DataError("there is nothing to ask")

    monkeypatch.setattr(ATTACKS, "_entries", {})
    register("refuses", refuses)
    register("asks", plain)
    said: list[str] = []
    found = audit(folder, attacks=["all"], voice=Voice(say=said.append))
    assert [a.attack for a in found] == ["asks"]
    assert said.count("refuses: left out: there is nothing to ask") == 2
    asked = Asked.load(folder / "audit.json")
    assert asked == Asked(attacks=("asks", "refuses"), left_out=("refuses",), oracle=False)
    with pytest.raises(DataError, match="nothing to ask"):
        audit(folder, attacks=["refuses"])


def test_an_attack_says_on_which_splits_it_runs_may_answer_for_others_and_gives_its_own_measures(
    folder: Path, registered: None
) -> None:
    asked: list[str] = []

    def both(target: Target) -> Sequence[Record]:
        asked.append(target.split)
        return [
            Record(id=e.id, split=split, prompt="", answer="x", generation="x")
            for split, some in target.others.items()
            for e in some[:2]
        ]

    def counted(records: Mapping[str, Sequence[Record]]) -> list[Measure]:
        return [Measure(name="count", split=s, value=float(len(r)), count=len(r)) for s, r in records.items()]

    register("both", Attack(run=both, measures=counted, leaks=(), splits=("forget",)))
    (found,) = audit(folder, attacks=["both"])
    assert asked == ["forget", "forget"]
    assert {m.key: m.value for m in found.points["after"].measures} == {"forget/count": 2.0, "retain/count": 2.0}


def test_records_are_clustered_by_subject(world: Path, tmp_path: Path, registered: None) -> None:
    rows = [{"question": f"Who is it {i}?", "answer": f"Guest {i}.", "subject": f"s{i // 3}"} for i in range(6)]
    data = {"forget": str(write_rows(tmp_path / "facts.jsonl", rows)), "retain": str(world / "retain.jsonl")}
    folder = made(world, tmp_path, "run", STAGE, data=data)
    register("plain", Attack(run=plain, splits=("forget",)))
    audit(folder, attacks=["plain"])
    assert [r.group for r in read_records(folder / "audits" / "plain" / "after.jsonl")] == ["s0"] * 3 + ["s1"] * 3


def test_of_a_divided_run_the_facts_are_attacked_by_which_nothing_was_chosen(
    world: Path, tmp_path: Path, registered: None
) -> None:
    folder = made(world, tmp_path, "run", STAGE, divide={"selection": 0.5})
    whole = {e.id for e in examples_of(recipe_of(folder), data_of(folder, recipe_of(folder)))["forget"]}
    register("plain", Attack(run=plain, splits=("forget",)))
    audit(folder, attacks=["plain"])
    asked = {r.id for r in read_records(folder / "audits" / "plain" / "after.jsonl")}
    records = read_records(folder / "records" / "unlearn-after.jsonl")
    chosen_by = {r.id for r in records if r.split == "selection-forget"}
    assert chosen_by and asked == whole - chosen_by
    noted = Asked.load(folder / "audit.json")
    assert noted is not None and noted.chosen_by == len(whole & chosen_by) == 6


def test_attacks_are_given_the_other_forms_that_the_runs_suites_have(
    folder: Path, monkeypatch: pytest.MonkeyPatch, registered: None
) -> None:
    recipe = recipe_of(folder)
    own = examples_of(recipe, data_of(folder, recipe))["forget"][0]
    there = (replace(own, id="sentence", form="text", group=own.cluster), replace(own, id="stranger", group="another"))
    suite = Suite(name="s", splits=(Split(name="forget-text", examples=there),), metrics=())
    monkeypatch.setattr("forgetting.pipeline.audit.auditor.undivided_suite_of", lambda recipe, data: suite)
    given: list[str] = []

    def shows(target: Target) -> Sequence[Record]:
        given.extend(e.id for e in target.forms)
        return plain(target)

    register("shows", Attack(run=shows, splits=("forget",)))
    audit(folder, attacks=["shows"])
    assert given == ["sentence", "sentence"]


def test_documents_are_audited_by_their_beginnings(world: Path, tmp_path: Path) -> None:
    rows = [{"text": f"guest {i} lives in house {i % 5} of lane {i} and cooks dish {i % 3}"} for i in range(6)]
    kept = [{"text": f"cook {i} serves dish {i % 4} with sauce {i} to every guest"} for i in range(6)]
    files = {"forget": rows, "retain": kept}
    data = {role: str(write_rows(tmp_path / f"{role}.jsonl", some)) for role, some in files.items()}
    folder = made(world, tmp_path, "run", STAGE, data=data)
    for found in audit(folder, attacks=["greedy", "sample", "context"], settings=FEW):
        values = {m.key: m for m in found.points["after"].measures}
        assert values["forget/leak@1"].value is not None and values["forget/leak@1"].count == 6
    record = read_records(folder / "audits" / "greedy" / "after.jsonl")[0]
    assert record.prompt.startswith("guest 0") and record.prompt + record.answer == rows[0]["text"]


def test_relearned_weights_are_in_the_run_alone_and_gone_afterwards_even_after_a_kill(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Path] = []
    inside = relearn.Trainer.run

    def ends(self: Any) -> Any:
        seen.append(self.folder.path)
        if len(seen) == 1:
            self.folder.path.mkdir(parents=True)
            monkeypatch.setattr(relearn.shutil, "rmtree", lambda *given, **how: None)  # a killed process cleans nothing
            raise KeyboardInterrupt
        return inside(self)

    monkeypatch.setattr(relearn.Trainer, "run", ends)
    settings = {"relearn-kin": SMALL["relearn-kin"]}
    with pytest.raises(KeyboardInterrupt):
        audit(folder, attacks=["relearn-kin"], settings=settings)
    assert seen[0].parent == folder / "audits" and seen[0].exists()
    monkeypatch.undo()
    monkeypatch.setattr(relearn.Trainer, "run", ends)
    audit(folder, attacks=["relearn-kin"], settings=settings)
    assert len(seen) == 1 + 2 * 2 and not list((folder / "audits").glob(".*"))
