"""Audits of a run: who is asked what, what is written, that they resume, and that no model is changed."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from forgetting.audits import ATTACKS, Attack, Target, attack_measures
from forgetting.core.errors import DataError, RunError
from forgetting.core.progress import Voice
from forgetting.core.record import Record, read_records
from forgetting.data.formatting import Formatting
from forgetting.models.loading import load_model
from forgetting.pipeline.audit.audit import audit
from forgetting.pipeline.finished_run.examples import data_of, examples_of
from forgetting.pipeline.finished_run.models import recipe_of
from forgetting.pipeline.finished_run.purge import plan_purge, purge
from forgetting.runs.audits import Audit
from tests.pipeline.finished_run.test_ask import made

STAGE = [{"method": "graddiff", "adapter": {"rank": 2}}]
FEW = {"context": {"shots": 2, "draws": 2}, "sample": {"n": 3}}


@pytest.fixture
def folder(world: Path, tmp_path: Path) -> Path:
    return made(world, tmp_path / "runs", "run", STAGE)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ATTACKS, "_entries", dict(ATTACKS._entries))


def register(name: str, attack: Attack) -> None:
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
            measures = [
                m for s in ("forget", "retain") for m in attack_measures([r for r in records if r.split == s], s)
            ]
            assert list(one.points[point].measures) == measures
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

    for name, attack, message in (
        ("trains", trains, r"attack 'trains' of tests changed the weight .*embed_tokens.* of the model before"),
        ("draws", draws, r"attack 'draws' of tests changed the random state of torch"),
        ("strays", strays, r"attack 'strays' of tests returned a record of 'forget' for the split 'forget'"),
        ("nothing", lambda target: [None], r"attack 'nothing' of tests returned a NoneType for the split 'forget'"),
    ):
        register(name, attack)  # type: ignore[arg-type]
        with pytest.raises(RunError, match=message) as told:
            audit(folder, attacks=[name])
        assert "\n" not in str(told.value)
        assert not (folder / "audits" / f"{name}.json").exists()


def test_the_model_on_disk_and_the_rest_of_the_run_stay_as_they_were(folder: Path) -> None:
    files = {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
    audit(folder, attacks=list(FEW), settings=FEW)
    now = {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
    assert {p: b for p, b in now.items() if "audits" not in p.parts} == files


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
