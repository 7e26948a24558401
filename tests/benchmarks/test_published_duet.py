"""DUET's printed tables agree with themselves, or an erratum says where not; their rows are the paper's runs."""

from __future__ import annotations

import pytest

from forgetting.benchmarks.published import Row, Table, published_table
from forgetting.core.duration import Duration
from forgetting.recipe import Recipe, load_recipe

RUN = [f"duet-table{number}" for number in (1, 2, 8, 9)]
CHANGED = {"duet-table1": 3, "duet-table2": 3, "duet-table4": 2, "duet-table5": 2}
"""Tables with printed changes, and their digits."""


def printed(row: Row, column: str) -> float:
    value = row.values[column].value
    assert value is not None
    return value


def recipe(table: Table, row: Row) -> Recipe:
    return load_recipe(row.recipe, [*next(iter(table.runs(row)))[1], "model=./mine"])


@pytest.mark.parametrize(("name", "digits"), CHANGED.items())
def test_printed_changes_are_the_differences_of_the_printed_values_or_have_an_erratum(name: str, digits: int) -> None:
    table = published_table(name)
    bases = {(r.labels["model"], r.labels["popularity"]): r for r in table.rows if r.labels["method"] == "w/o unlearn"}
    off = 0
    for row in table.rows:
        for key, value in row.values.items():
            if value.change is None:
                assert row.labels["method"] == "w/o unlearn"
                continue
            base = bases[row.labels["model"], row.labels["popularity"]]
            differs = abs(printed(row, key) - printed(base, key) - value.change) > 0.5 * 10**-digits + 1e-9
            assert not differs or "the printed values differ by" in value.erratum, (row.id, key)
            off += differs
    assert off == (7 if name == "duet-table1" else 0)


@pytest.mark.parametrize("name", RUN[:2])
def test_one_model_before_unlearning_has_one_retain_value(name: str) -> None:
    rows = [row for row in published_table(name).rows if row.labels["method"] == "w/o unlearn"]
    assert len(rows) == 4 and len({(row.labels["model"], printed(row, "retain")) for row in rows}) == 2


def test_changes_of_rank_are_the_differences_of_the_printed_ranks() -> None:
    for row in published_table("duet-table6").rows:
        change = printed(row, "rank_unlearned") - printed(row, "rank_base")
        assert abs(change - printed(row, "delta_rank")) <= 0.1501, row.id
        assert printed(row, "delta_logp") > 0 and "without their sign" in row.values["delta_logp"].erratum
        assert bool(row.values["rank_base"].erratum) == row.labels["model"].endswith("sft")


@pytest.mark.parametrize("name", RUN)
def test_a_row_is_the_papers_run(name: str) -> None:
    table = published_table(name)
    for row in table.rows:
        found = recipe(table, row)
        [stage] = found.stages
        popularity = row.labels["popularity"]
        suite = f"duet:domains_{popularity}" if name == "duet-table8" else f"duet:city_forget_{popularity}_5"
        assert found.evaluate == [suite]
        assert {role: [s.suite for s in sources] for role, sources in found.data.items()} == {
            "forget": [suite],
            "retain": [suite],
        }
        assert (found.format.system is None) == (name == "duet-table2")
        if row.trained:
            methods = {
                "GradAscent": {"name": "ga"},
                "GradDiff": {"name": "graddiff"},
                "NPO": {"name": "npo", "beta": 1.0, "retain": "none"},
                "UNDIAL": {"name": "undial", "beta": 3.0, "retain_weight": 0.1},
            }
            assert stage.method == methods[row.labels["method"]]
            assert stage.learning_rate == float(row.labels.get("rate", "2e-5"))
            assert (stage.batch_size, stage.duration) == (32, Duration(2, "epochs"))


def test_popular_facts_are_forgotten_less_than_rare_ones_in_the_pretrained_rows_of_table_8() -> None:
    rows = published_table("duet-table8").rows
    value = {(r.labels["model"], r.labels["method"], r.labels["popularity"]): printed(r, "forget") for r in rows}
    for method in ("GradAscent", "GradDiff", "NPO"):
        assert value["llama-3.1-8b", method, "popular"] > value["llama-3.1-8b", method, "rare"]
        assert value["llama-3.1-8b-sft", method, "popular"] < value["llama-3.1-8b-sft", method, "rare"]
