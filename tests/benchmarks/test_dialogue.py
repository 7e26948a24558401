"""Four sets of dialogues: the history asks, the next turn answers; the sets that are there are measured."""

import gzip
import json
from pathlib import Path

import pytest

from forgetting.benchmarks.dialogue import SETS, dialogue_variant
from forgetting.benchmarks.registry import SUITES, get_suite
from forgetting.core.errors import DataError, ForgettingError
from forgetting.data.encode import encode
from forgetting.data.formatting import Formatting
from forgetting.evaluation.answers import answer
from forgetting.metrics.score import score
from tests.data.tokenizers import byte_level
from tests.golden import REAL_DATA, needs
from tests.models.tiny import tiny_model

TEXT = REAL_DATA / "text"


def write(file: Path, dialogues: list[object]) -> Path:
    content = "".join(json.dumps({"text": turns}) + "\n" for turns in dialogues).encode()
    file.write_bytes(gzip.compress(content) if file.suffix == ".gz" else content)
    return file


def test_the_history_is_a_line_a_turn_and_the_last_turn_is_the_answer(tmp_path: Path) -> None:
    write(tmp_path / "wizard_of_internet.jsonl", [["Hi \n there.", " Hello! ", "You ok?", "Fine."], ["One", "Two"]])
    (split,) = dialogue_variant(str(tmp_path), False).splits
    first, second = split.examples
    assert first.prompt == "User 1: Hi there.\nUser 2: Hello!\nUser 1: You ok?\nUser 2: "
    assert (first.response, first.form) == ("Fine.", "text")
    assert second.prompt == "User 1: One\nUser 2: "
    assert (split.name, split.generate, split.max_new_tokens) == ("wizard_of_internet", True, 32)


def test_only_the_answer_is_scored_and_generation_starts_right_before_it(tmp_path: Path) -> None:
    write(tmp_path / "wizard_of_internet.jsonl", [["Where was Ada born?", "the answer is London"]])
    (example,) = dialogue_variant(str(tmp_path), False).splits[0].examples
    tokenizer = byte_level()
    encoded = encode(example, tokenizer, Formatting())
    assert tokenizer.decode(encoded.prompt_ids[1:]).strip() == example.prompt.strip()
    assert tokenizer.decode(encoded.ids[len(encoded.prompt_ids) :]).strip() == example.response


def test_of_a_long_history_the_last_turns_stay_with_their_speakers(tmp_path: Path) -> None:
    long = " ".join(["word"] * 150)
    write(tmp_path / "wizard_of_internet.jsonl", [["first", long, long, "x", "last"], [" ".join(["w"] * 900), "last"]])
    many, single = dialogue_variant(str(tmp_path), False).splits[0].examples
    assert many.prompt == f"User 1: first\nUser 2: {long}\nUser 1: {long}\nUser 2: x\nUser 1: "
    assert len(single.prompt.split()) == 904, "a single turn is never cut"
    write(tmp_path / "wizard_of_internet.jsonl", [["first", long, long, long, "last"]])
    (cut,) = dialogue_variant(str(tmp_path), False).splits[0].examples
    assert cut.prompt == f"User 1: {long}\nUser 2: {long}\nUser 1: "


def test_the_sets_that_are_there_are_the_splits_and_plain_files_come_first(tmp_path: Path) -> None:
    write(tmp_path / "empathetic_dialogues.jsonl.gz", [["a", "packed"]])
    write(tmp_path / "empathetic_dialogues.jsonl", [["a", "plain"]])
    write(tmp_path / "blended_skill_talk.jsonl.gz", [["a", f"b{i}"] for i in range(70)])
    write(tmp_path / "wikitext.jsonl", [["a", "b"]])
    suite = get_suite(f"dialogue:{tmp_path}")
    assert [(s.name, len(s.examples)) for s in suite.splits] == [
        ("blended_skill_talk", 70),
        ("empathetic_dialogues", 1),
    ]
    assert suite.splits[1].examples[0].response == "plain"
    assert len(get_suite(f"dialogue:{tmp_path}", fast=True).splits[0].examples) == 50
    assert len(get_suite(f"dialogue:{tmp_path},limit=3").splits[0].examples) == 3
    assert SUITES.get("dialogue").summary.startswith("The next turn of four sets of dialogues")


@pytest.mark.parametrize(
    ("turns", "message"),
    [
        (["only one"], ":2: a dialogue needs two turns at least"),
        (["a", "  "], ":2: a dialogue needs two turns at least, none of them empty"),
        ("a text", r':2: is not a dialogue; write \{"text": \[turn, turn, …\]\}'),
        (["a", 3], ":2: is not a dialogue"),
    ],
)
def test_a_row_that_is_no_dialogue_is_named(tmp_path: Path, turns: object, message: str) -> None:
    file = write(tmp_path / "blended_skill_talk.jsonl", [["a", "b"], turns])
    with pytest.raises(DataError, match=f"^{file}{message}"):
        dialogue_variant(str(tmp_path), False)


@pytest.mark.parametrize(
    "variant", ["", "{folder}", "{folder}/none", "{folder},limit=0", "{folder},turns=3", ",limit=3"]
)
def test_a_variant_that_names_no_dialogues_is_one_line(tmp_path: Path, variant: str) -> None:
    with pytest.raises(ForgettingError) as found:
        dialogue_variant(variant.replace("{folder}", str(tmp_path)), False)
    assert "\n" not in str(found.value)


def test_the_suite_is_measured_from_end_to_end(tmp_path: Path) -> None:
    for name in SETS:
        write(tmp_path / f"{name}.jsonl", [["the answer", f"is that {i}", "the same"] for i in range(3)])
    suite, model, tokenizer = dialogue_variant(str(tmp_path), False), tiny_model("llama", vocab=400), byte_level()
    records = [
        record
        for split in suite.splits
        for record in answer(
            model, tokenizer, split.examples, split=split.name, formatting=Formatting(), max_new_tokens=4
        )
    ]
    measures = {m.key: m for m in score(suite.metrics, records)}
    assert {key for key, m in measures.items() if m.value is None} == set()
    assert set(measures) == {"all/dialogue_f1", *(f"{n}/{m}" for n in SETS for m in ("dialogue_f1", "perplexity"))}


@needs(TEXT)
def test_the_four_real_sets_hold_400_dialogues_each() -> None:
    suite = get_suite(f"dialogue:{TEXT}")
    assert [(s.name, len(s.examples)) for s in suite.splits] == [(name, 400) for name in SETS]
    assert max(len(e.prompt.split()) for s in suite.splits for e in s.examples) < 500
