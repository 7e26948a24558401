"""DUET's suite: its splits, its measures with and without faulty rows, and its prompt."""

from __future__ import annotations

from pathlib import Path

import pytest

from forgetting.benchmarks.duet.suite import DATE, SYSTEM, duet_suite
from forgetting.benchmarks.registry import SUITES, get_suite
from forgetting.core.errors import DataError, RecipeError
from forgetting.core.record import Record, Score
from forgetting.metrics.score import score
from tests.benchmarks.duet.making import plain, row, write
from tests.golden import golden

SPLITS = "city_forget_rare_5+city_forget_popular_5"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rare = [row(f"Rare {n}", "country", f"Land {n}", pop_sum=float(n)) for n in range(6)]
    rare += [row("Adzopé", "capital of", "Adzopé Department"), plain("What is the country of Nowhere?", "Utopia")]
    popular = [row(f"Big {n}", "country", "India", pop_sum=100.0 + n) for n in range(6)]
    write(tmp_path, "city_forget_rare_5", rare)
    write(tmp_path, "city_forget_popular_5", popular)
    write(tmp_path, "paraphrases_city_forget_rare_5", [{**rare[0], "question": "Where is Rare 0?"}])
    write(tmp_path, "paraphrases_city_forget_popular_5", [{**popular[0], "question": "Where is Big 0?"}])
    kept = [plain(f"What is the country of Kept {n}?", "India" if n < 2 else f"Realm {n}") for n in range(120)]
    write(tmp_path, "city_fast_retain_500", kept)
    return tmp_path


def answered(suite, right: float = 0.5) -> list[Record]:
    """Every right answer given, but for the reversed and the retained ones."""
    return [
        Record(
            id=e.id,
            split=split.name,
            prompt=e.prompt,
            answer=e.response,
            generation="no idea" if split.name == "retain" or e.kind == "capital of" else e.response,
            score=Score(-right * 4, 4),
            popularity=e.popularity,
            group=e.group,
            kind=e.kind,
        )
        for split in suite.splits
        for e in split.examples
    ]


def test_a_variant_names_sets_keys_and_the_folder(folder: Path) -> None:
    suite = get_suite(f"duet:{SPLITS},paraphrases=yes@{folder}")
    assert [(s.name, len(s.examples), s.max_new_tokens) for s in suite.splits] == [
        ("forget", 14, 64),
        ("paraphrased", 2, 64),
        ("retain", 120, 64),
    ]
    assert {role: len(examples) for role, examples in suite.data.items()} == {"forget": 14, "retain": 120, "train": 134}
    assert suite.declares.forget_splits == ("forget", "paraphrased") and suite.declares.retain_splits == ("retain",)
    alone = get_suite(f"duet:city_forget_rare_5,retain=none@{folder}")
    assert [s.name for s in alone.splits] == ["forget"] and "retain" not in alone.data
    fast = get_suite(f"duet:city_forget_rare_5@{folder}", fast=True)
    assert [len(s.examples) for s in fast.splits] == [8, 100]
    assert len(get_suite(f"duet:@{folder}").splits[0].examples) == 8 and "duet" in SUITES


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ("retain=none", "holds no retain=none"),
        ("city_forget_rare_5,words=yes", "'words=yes' has no meaning; keys: retain=SPLIT"),
        ("city_forget_rare_5+", "names no split"),
        ("full_rare_5+city_forget_rare_5", "'full_rare_5' is drawn with a retain set of its own"),
    ],
)
def test_a_wrong_variant_is_refused(folder: Path, variant: str, message: str) -> None:
    with pytest.raises((RecipeError, DataError), match=message):
        get_suite(f"duet:{variant}@{folder}")


def test_a_folder_that_is_not_there_is_named() -> None:
    with pytest.raises(DataError, match="no such folder 'nowhere'"):
        get_suite("duet:city_forget_rare_5@nowhere")


def test_recall_is_measured_with_and_without_faulty_rows_by_set_and_by_popularity(folder: Path) -> None:
    suite = get_suite(f"duet:{SPLITS},paraphrases=yes@{folder}")
    found = {m.key: m for m in score(suite.metrics, answered(suite))}
    assert found["forget/rouge_l_recall"].value == pytest.approx(13 / 14)
    assert (found["forget/rouge_l_recall[sound]"].value, found["forget/rouge_l_recall[sound]"].count) == (1, 12)
    assert (found["forget/rouge_l_recall[reversed]"].value, found["forget/rouge_l_recall[no_popularity]"].value) == (
        0,
        1,
    )
    assert found["forget/rouge_l_recall[city_forget_rare_5]"].count == 8
    assert found["paraphrased/probability[city_forget_popular_5]"].count == 1
    assert found["retain/rouge_l_recall[answer_forgotten]"].count == 2
    assert "retain/rouge_l_recall[sound]" not in found and "forget/rouge_l_recall[one_id]" not in found
    assert found["forget/rouge_l_recall[popular]"].count == 4
    for split in ("forget", "paraphrased", "retain"):
        for name in ("rouge_l_f1", "exact_match", "probability", "loops", "copies_question"):
            assert found[f"{split}/{name}"].value is not None
    assert "forget/rouge_l_recall_popularity_spearman" in found
    assert all(key in found for column in suite.declares.headline.columns for key in column)
    directions = {found[f"{split}/rouge_l_recall"].direction for split in ("forget", "paraphrased")}
    assert directions == {"down"} and found["retain/rouge_l_recall"].direction == "up"


def test_an_oracle_is_the_goal_where_there_is_one(folder: Path) -> None:
    suite = get_suite(f"duet:city_forget_rare_5@{folder}")
    records = answered(suite)
    found = {m.key: m.direction for m in score(suite.metrics, records, records)}
    assert (found["forget/rouge_l_recall"], found["retain/rouge_l_recall"]) == ("oracle", "up")


def test_a_row_that_is_to_be_forgotten_is_not_kept(folder: Path) -> None:
    write(folder, "city_fast_retain_500", [row("Rare 0", "country", "Land 0"), plain("Who?", "Ann")])
    assert [len(s.examples) for s in duet_suite(folder=folder).splits] == [8, 1]


def test_a_drawn_set_brings_its_retain_set(folder: Path) -> None:
    write(folder, "full_", [row(f"S{n}", "country", f"O{n}", pop_sum=float(n)) for n in range(40)])
    suite = get_suite(f"duet:full_popular_10@{folder}")
    assert [len(s.examples) for s in suite.splits] == [4, 32]
    assert [len(s.examples) for s in get_suite(f"duet:full_popular_10,retain=none@{folder}").splits] == [4]
    other = get_suite(f"duet:full_popular_10,retain=city_forget_rare_5@{folder}")
    assert [len(s.examples) for s in other.splits] == [4, 8]
    assert [len(s.examples) for s in get_suite(f"duet:full_,retain=none@{folder}").splits] == [40]


def test_the_prompt_is_that_of_the_published_logs() -> None:
    """Without special tokens, as the logs have it."""
    [first, *_] = golden("duet_rouge")["entries"]
    assert SYSTEM in first["prompt"] and DATE.strftime("%d %b %Y") in first["prompt"]
