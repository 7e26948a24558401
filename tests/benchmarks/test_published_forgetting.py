"""Forgetting's printed tables agree with themselves, or an erratum says where not; their rows are the paper's runs."""

from collections.abc import Sequence

import pytest

from forgetting.benchmarks.published import Row, Table, published_table
from forgetting.recipe import Recipe, Stage, load_recipe

SCORED = [f"forgetting-table{number}" for number in (3, 5, 6, 8, 9, 10)]
QUESTIONS = {"logiqa": 651, "boolq": 3270, "asdiv": 2305, "arc": 1172, "lambada": 5153}
"""How many questions the harness asks of each task whose score is a share of right answers."""


def printed(row: Row, column: str) -> float:
    value = row.values[column].value
    assert value is not None
    return value


def printed_rows(name: str) -> list[Row]:
    return [row for row in published_table(name).rows if row.printed]


def average(name: str, **labels: str) -> float:
    [row] = [r for r in printed_rows(name) if labels.items() <= r.labels.items()]
    return printed(row, "average")


def recipe(table: Table, row: Row) -> Recipe:
    return load_recipe(row.recipe, [*next(iter(table.runs(row)))[1], "model=./mine"])


def last(table: Table, row: Row) -> Stage:
    return recipe(table, row).stages[-1]


@pytest.mark.parametrize("name", SCORED)
def test_every_average_is_the_mean_of_its_row(name: str) -> None:
    for row in printed_rows(name):
        *parts, mean = (printed(row, column) for column in row.values)
        assert abs(sum(parts) / len(parts) - mean) <= 0.00501, row.id


@pytest.mark.parametrize("name", ["forgetting-table3", "forgetting-table6"])
def test_no_spread_of_an_average_is_wider_than_its_parts_allow(name: str) -> None:
    """The deviation of a mean is at most the mean of the deviations; a model that is not trained has none."""
    for row in printed_rows(name):
        *parts, mean = (value.std for value in row.values.values())
        assert mean is not None and None not in parts
        assert mean <= sum(parts) / len(parts) + 0.0101, row.id
        assert (mean == 0) == (not row.trained)


STATED = [
    ("forgetting-table3", {"model": "llama-3.2-1b", "level": "token"}, 4.49, 2.51),
    ("forgetting-table3", {"model": "llama-3.2-3b", "level": "token"}, 5.28, 3.40),
    ("forgetting-table3", {"model": "llama-3.1-8b", "level": "token"}, 8.25, 4.21),
    ("forgetting-table5", {}, 6.16, 4.16),
    ("forgetting-table6", {}, 4.93, 2.05),
    ("forgetting-table8", {"model": "qwen2.5-3b"}, 16.49, 5.33),
    ("forgetting-table8", {"model": "gpt-neo-2.7b"}, 4.37, 3.56),
]


@pytest.mark.parametrize(("name", "labels", "over_full", "over_ignoring"), STATED)
def test_stated_improvements_are_differences_of_averages_but_for_table_5(
    name: str, labels: dict[str, str], over_full: float, over_ignoring: float
) -> None:
    model = {key: value for key, value in labels.items() if key == "model"}
    ours = average(name, method="Forgetting", **labels)
    gained = [ours - average(name, method="Full Tokens", **model), ours - average(name, method="Ignoring", **labels)]
    holds = [round(g, 2) for g in gained] == [over_full, over_ignoring]
    assert holds == (name != "forgetting-table5")
    if not holds:
        [row] = [r for r in printed_rows(name) if r.labels["method"] == "Forgetting"]
        assert all(f"{number:.2f}" in row.values["average"].erratum for number in (*gained, over_full, over_ignoring))


def test_the_same_settings_have_the_same_numbers_in_all_tables_but_for_one_erratum() -> None:
    of_table = {
        "forgetting-table3": "llama-3.2-3b-forgetting-token",
        "forgetting-table9": "0.0001-0.25",
        "forgetting-table10": "linear",
    }
    rows = [next(r for r in printed_rows(name) if r.id == row) for name, row in of_table.items()]
    for column in rows[0].values:
        values = {printed(row, column) for row in rows}
        assert len(values) == (2 if column == "boolq" else 1)
    assert all("same AVG" in row.values["boolq"].erratum for row in rows)
    for column in ("Base", "Full Tokens"):
        third, sixth = (
            next(r for r in printed_rows(name) if r.labels["method"] == column and r.labels["model"] == "llama-3.2-3b")
            for name in ("forgetting-table3", "forgetting-table6")
        )
        assert [v.value for v in third.values.values()] == [v.value for v in sixth.values.values()]


def test_a_base_models_score_that_no_count_of_questions_gives_is_an_erratum() -> None:
    checked = 0
    for name in ("forgetting-table3", "forgetting-table5", "forgetting-table6", "forgetting-table8"):
        for row in printed_rows(name):
            for column in QUESTIONS if not row.trained else ():
                if column in row.values:
                    value, asked = printed(row, column), QUESTIONS[column]
                    possible = value in {round(100 * right / asked, 2) for right in range(asked + 1)}
                    assert possible != ("o share of" in row.values[column].erratum), (row.id, column)
                    checked += 1
    assert checked == 5 * 3 + 2 * 2


def test_minutes_add_up_and_the_overheads_are_those_of_the_totals() -> None:
    rows = {(row.model, row.labels["method"]): row for row in printed_rows("forgetting-table11")}
    for row in rows.values():
        parts = [row.values[part].value for part in ("reference", "scoring", "training")]
        assert sum(part or 0 for part in parts) == printed(row, "total")
    notes = " ".join(published_table("forgetting-table11").notes)
    for model in ("llama-3.2-3b", "llama-3.1-8b"):
        full, ignoring, forgetting = (
            printed(rows[model, method], "total") for method in ("Full Tokens", "Ignoring", "Forgetting")
        )
        for more, less in ((ignoring, full), (forgetting, full), (forgetting, ignoring)):
            assert f"+{100 * (more / less - 1):.2f}%" in notes


def test_rows_of_ours_have_no_printed_value_and_train_on_the_reference_too() -> None:
    for name, expected in (("forgetting-table3", 3), ("forgetting-table5", 1), ("forgetting-table8", 2)):
        table = published_table(name)
        ours = [row for row in table.rows if not row.printed]
        assert len(ours) == expected
        for row in ours:
            assert "(ours)" in row.labels["method"]
            assert {(v.value, v.reason) for v in row.values.values()} == {(None, "a row of ours, not in the paper")}
            stage = last(table, row)
            assert (stage.method, stage.part, stage.select) == ({"name": "sft"}, "all", None)


@pytest.mark.parametrize("name", ["forgetting-table3", "forgetting-table5", "forgetting-table6", "forgetting-table8"])
def test_a_method_of_the_paper_is_this_one_of_ours(name: str) -> None:
    table = published_table(name)
    for row in table.rows:
        if not (row.trained and row.printed):
            continue
        stage = last(table, row)
        assert stage.part == "train"
        if row.labels["method"] == "Full Tokens":
            assert (stage.method, stage.select) == ({"name": "sft"}, None)
            continue
        assert stage.select is not None
        kind, share = {"Ignoring": ("ignoring", 0.5), "Forgetting": ("forgetting", 0.7)}[row.labels["method"]]
        assert (stage.method["name"], stage.select.positives) == (kind, share)
        assert stage.select.level == row.labels.get("level", "token")
        if kind == "forgetting":
            t_min = 1e-5 if row.model == "llama-3.2-1b" else 1e-4
            assert stage.method["forget_weight"] == {"schedule": "forgetting", "t_min": t_min, "t_max": 0.25}


def test_table_6_keeps_duplicates_where_a_reference_is_trained() -> None:
    table = published_table("forgetting-table6")
    kept = {row.labels["method"]: recipe(table, row).corpus.duplicates for row in table.rows}
    assert kept == {"Base": "drop", "Full Tokens": "drop", "Ignoring": "keep", "Forgetting": "keep"}


def test_table_8_measures_its_own_four_tasks() -> None:
    table = published_table("forgetting-table8")
    assert {tuple(recipe(table, row).evaluate) for row in table.rows} == {("harness:forgetting-table8",)}


def test_table_9_is_the_whole_grid() -> None:
    table = published_table("forgetting-table9")
    weights = [last(table, row).method["forget_weight"] for row in table.rows]
    grid = {(weight["t_min"], weight["t_max"]) for weight in weights}
    assert grid == {(low, high) for low in (1e-5, 1e-4, 1e-3, 1e-2) for high in (0.15, 0.25, 0.35, 0.45)}


def test_table_10_sets_a_constant_beside_the_schedule() -> None:
    table = published_table("forgetting-table10")
    constant, rising = (last(table, row).method["forget_weight"] for row in table.rows)
    assert constant == 1e-4 and rising == {"schedule": "forgetting", "t_min": 1e-4, "t_max": 0.25}


def test_a_row_is_three_seeds_and_a_model_that_is_not_trained_one_run() -> None:
    table = published_table("forgetting-table3")

    def seeds(row: Row) -> Sequence[int]:
        return [load_recipe(row.recipe, [*overrides, "model=./mine"]).seed for _, overrides in table.runs(row)]

    for row in table.rows:
        assert seeds(row) == ([0, 1, 2] if row.trained else [0])


def test_the_corpus_adds_up_and_is_the_one_that_the_recipe_draws() -> None:
    rows = printed_rows("forgetting-table1")
    for part, size in (("train", 50_000), ("reference", 10_000)):
        assert sum(printed(row, part) for row in rows) == size
        for row in rows:
            assert printed(row, f"{part}_share") == round(100 * printed(row, part) / size, 2)
    sources = load_recipe("forgetting-sft", ["model=m"]).data["train"]
    drawn = [round(60_000 * (source.share or 0.0)) for source in sources]
    assert drawn == [printed(row, "train") + printed(row, "reference") for row in rows]


def test_a_benchmarks_size_is_what_the_harness_asks_or_an_erratum_says_what_it_asks() -> None:
    asked = {**QUESTIONS, "truthfulqa": 817, "tydiqa": None, "ifeval": 541, "arithmetic": None}
    for name in ("forgetting-table2", "forgetting-table7"):
        for row in printed_rows(name):
            questions = asked[row.labels["dataset"].lower().split("-")[0]]
            if row.values["size"].value != questions:
                assert row.values["size"].erratum and (
                    questions is None or f"{questions:,}" in row.values["size"].erratum
                )
            else:
                assert not row.values["size"].erratum
