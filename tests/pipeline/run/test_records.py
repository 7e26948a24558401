"""A split measured as verbatim sequences gives records with overlaps; the others are answered."""

from forgetting.benchmarks.suite import Split, Suite
from forgetting.core.example import Example
from forgetting.core.progress import Voice
from forgetting.pipeline.run.records import cached, take
from forgetting.recipe import Recipe
from tests.models.tiny import tiny_model, tiny_tokenizer

PASSAGE = Example(id="p", form="text", response="the cat sat on the big red fish under the small bird")


def suite(extraction: tuple[int, ...]) -> Suite:
    splits = (
        Split(name="forget", examples=(PASSAGE,), generate=False, extraction=extraction),
        Split(name="retain", examples=(PASSAGE,), generate=False),
    )
    return Suite(name="s", splits=splits, metrics=())


def recipe(output: str) -> Recipe:
    return Recipe(model="m", output=output, stages=[{"method": "ga"}])  # type: ignore[list-item]


def test_only_splits_that_ask_for_overlaps_are_continued(tmp_path) -> None:
    said: list[str] = []
    voice = Voice(progress=lambda done, total, note: said.append(note))
    records = take(tiny_model("llama"), tiny_tokenizer(), suite((3, 4)), recipe(str(tmp_path)), voice).records
    assert {r.split: sorted(r.extraction) for r in records} == {"forget": [3, 4], "retain": []}
    assert "forget: continuations" in said and "retain: likelihoods" in said


def test_records_of_other_overlaps_are_not_taken_from_the_cache(tmp_path) -> None:
    model, tokenizer = tiny_model("llama"), tiny_tokenizer()
    for extraction in ((3,), (4,), ()):
        found = cached(model, tokenizer, suite(extraction), recipe(str(tmp_path)), Voice()).records
        assert tuple(found[0].extraction) == extraction


def test_records_of_answers_that_end_otherwise_are_not_taken_from_the_cache(tmp_path) -> None:
    model, tokenizer = tiny_model("llama"), tiny_tokenizer()
    text = Example(id="t", form="text", prompt="the cat sat", response="on the big red fish")  # takes no shots
    asked = Suite(name="s", splits=(Split(name="forget", examples=(text,)),), metrics=())
    without = recipe(str(tmp_path))
    whole = cached(model, tokenizer, asked, without, Voice()).records[0].generation
    assert whole is not None
    third = whole.split()[2]
    before = without.with_values({"format.separator": f" {third}"})
    assert cached(model, tokenizer, asked, before, Voice()).records[0].generation == whole
    shown = before.with_values({"format.shots.examples": [{"prompt": "dog", "response": "bird"}]})
    assert cached(model, tokenizer, asked, shown, Voice()).records[0].generation == whole.partition(f" {third}")[0]
