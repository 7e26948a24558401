"""Printed tables: read without a slip, and every row a recipe that resolves; LoKU's are consistent with themselves."""

from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import ks_2samp

from forgetting.benchmarks.published import Row, Table, published_table, table_names
from forgetting.core.duration import Duration
from forgetting.core.errors import RecipeError
from forgetting.recipe import Recipe, load_recipe

LOKU = [f"loku-table{number}" for number in range(1, 10)]
TOFU = LOKU[1:]
FORGETTING = [f"forgetting-table{number}" for number in range(1, 12)]
F2F = [f"f2f-table{number}" for number in range(1, 10)]
DUET = [f"duet-table{number}" for number in (1, 2, 4, 5, 6, 7, 8, 9)]
MUSE = [f"muse-table{number}" for number in range(1, 5)]
WMDP = ["wmdp-table1"]
NO_RUNS = [
    *MUSE,
    *WMDP,
    *DUET[2:6],
    "f2f-table6",
    "f2f-table7",
    *(f"forgetting-table{number}" for number in (1, 2, 4, 7)),
]
LARGEST = {
    "%": 100.0,
    "epochs": 20.0,
    "min": 500.0,
    "samples": 204_000,
    "nats": 11.0,
    "standard deviations": 4.0,
    "rank": 231.0,
    "norm": 6.0,
    "% of an AUC": 110.0,
    "of 10": 10.0,
}
METHODS = ["KL", "DPO", "NPO", "GA", "GA+FILA", "GD", "IHL", "GD+FILA", "IHL+FILA"]
PARTS = [
    f"{split}_{what}" for split in ("retain", "authors", "facts") for what in ("rouge", "probability", "truth_ratio")
]


def recipes(table: Table, row: Row) -> list[Recipe]:
    return [load_recipe(row.recipe, [*overrides, "model=./mine"]) for _, overrides in table.runs(row)]


def printed(row: Row, column: str) -> float:
    value = row.values[column].value
    assert value is not None
    return value


def test_the_tables_are_there_in_their_order() -> None:
    assert table_names() == [*F2F, *DUET, *LOKU, *MUSE, *WMDP, *FORGETTING]
    rows = [
        *[45, 8, 90, 27, 12, 3, 4, 14, 12],
        *[16, 16, 16, 16, 8, 8, 12, 12],
        *[24, *[29] * 8],
        *[20, 6, 6, 14],
        2,
        *[5, 5, 21, 5, 5, 4, 4, 10, 16, 2, 6],
    ]
    assert [len(published_table(name).rows) for name in table_names()] == rows
    numbers = [*range(1, 10), 1, 2, 4, 5, 6, 7, 8, 9, *range(1, 10), *range(1, 5), 1, *range(1, 12)]
    assert [published_table(name).number for name in table_names()] == numbers


def test_a_mistyped_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(RecipeError, match="did you mean 'loku-table3'"):
        published_table("loku-tabel3")


@pytest.mark.parametrize("name", table_names())
def test_rows_and_columns_fit_and_what_is_missing_has_its_reason(name: str) -> None:
    table = published_table(name)
    keys = [column.key for column in table.columns]
    assert len({row.id for row in table.rows}) == len(table.rows)
    for row in table.rows:
        assert list(row.values) == keys
        assert row.model in table.models if row.recipe else not table.models
        assert all((value.value is None) == bool(value.reason) for value in row.values.values())
        assert not any(value.value is None and value.erratum for value in row.values.values())


@pytest.mark.parametrize("name", table_names())
def test_every_number_is_in_its_range_and_prints_as_it_was_printed(name: str) -> None:
    table = published_table(name)
    for row in table.rows:
        for column in table.columns:
            value = row.values[column.key].value
            if value is not None:
                otherwise = 1000.0 if column.key == "pile" else 1.0
                top = LARGEST.get(column.unit, otherwise)
                least = -top if column.name.startswith("Δ") or column.name == "privleak" else 0
                assert least <= value <= top, (row.id, column.key)
                assert float(column.text(value)) == value, (row.id, column.key)


@pytest.mark.parametrize("name", TOFU)
def test_model_utility_is_the_harmonic_mean_of_the_nine_printed_parts(name: str) -> None:
    """To rounding: it must lie between the means of all parts rounded up and of all rounded down."""

    def harmonic(parts: Sequence[float]) -> float:
        return len(parts) / sum(1 / part for part in parts) if min(parts) > 0 else 0.0

    for row in published_table(name).rows:
        parts = [printed(row, part) for part in PARTS]
        low, high = (harmonic([part + shift for part in parts]) for shift in (-0.005, 0.005))
        assert low - 0.00501 <= printed(row, "model_utility") <= high + 0.00501, row.id


def attainable(first: int, second: int, least: float) -> set[str]:
    """The p-values from 1 down to `least`, to three digits, that a KS test of these sample sizes can give."""
    found = {0: "1.00e+00"}
    steps = int(np.lcm(first, second))
    x = (np.arange(first) + 0.5) / first
    for step in range(steps):
        y = (np.arange(second) + 0.5) / second + step / steps
        distance = round(float(ks_2samp(x, y, method="asymp").statistic) * steps)
        if distance not in found:
            p = float(ks_2samp(x, y, method="exact").pvalue)
            found[distance] = f"{p:.2e}"
            if p < least:
                break
    return set(found.values())


@pytest.mark.parametrize(("forget", "questions", "least"), [("forget01", 40, 1e-6), ("forget05", 200, 1e-20)])
def test_forget_quality_was_taken_against_300_questions_of_the_reference(
    forget: str, questions: int, least: float
) -> None:
    """Every printed p-value is one that these sizes can give, so none was misread; equal sizes give none of them."""
    rows = [row for name in TOFU for row in published_table(name).rows if row.labels["forget"] == forget]
    values = {f"{printed(row, 'forget_quality'):.2e}" for row in rows}
    assert len(rows) == 72 and values <= attainable(questions, 300, least)
    assert not values & attainable(questions, questions, least)
    assert all("not comparable" in row.values["forget_quality"].erratum for row in rows)


def test_forget_quality_of_forget10_was_taken_on_300_questions_of_both() -> None:
    rows = [row for name in TOFU for row in published_table(name).rows if row.labels["forget"] == "forget10"]
    values = {f"{printed(row, 'forget_quality'):.2e}" for row in rows}
    assert len(rows) == 88 and values <= attainable(300, 300, 4.1e-32)
    assert not any(row.values["forget_quality"].erratum for row in rows)


@pytest.mark.parametrize("name", TOFU)
def test_every_method_stands_once_for_each_forget_set(name: str) -> None:
    rows = published_table(name).rows
    assert [row.labels["method"] for row in rows[:2]] == ["Original", "Retain90"]
    for forget in ("forget01", "forget05", "forget10"):
        trained = [row.labels["method"] for row in rows if row.trained and row.labels["forget"] == forget]
        assert trained == METHODS


@pytest.mark.parametrize("models", [TOFU[:4], TOFU[4:]])
def test_the_models_that_are_not_trained_have_the_same_numbers_in_all_their_tables(models: list[str]) -> None:
    firsts = [[published_table(name).rows[i].values for name in models] for i in (0, 1)]
    assert all(values == same[0] for same in firsts for values in same)


def test_printed_changes_are_differences_from_the_model_before_but_for_one_erratum() -> None:
    table = published_table("loku-table1")
    before = {row.model: row for row in table.rows if not row.trained}
    wrong = []
    for row in table.rows:
        for column, value in row.values.items():
            if value.change is not None:
                start = printed(before[row.model], column)
                if round(printed(row, column) - start, 1) != value.change:
                    wrong.append((row.id, column))
                    assert f"{start}".replace("-", "−") in value.erratum
    assert wrong == [("gpt-neo-2.7b-ihl-lora-16", "dialogue")]
    assert sum(value.change is not None for row in table.rows for value in row.values.values()) == 63


def test_epochs_that_are_no_mean_of_five_whole_numbers_are_errata() -> None:
    rows = [row for row in published_table("loku-table1").rows if row.trained]
    odd = [row for row in rows if round(printed(row, "epochs") * 5, 6) % 1]
    assert [row.id for row in odd] == ["gpt-neo-1.3b-gd-lora-16", "gpt-neo-2.7b-loku-ihl-fila-lora-fila-16"]
    assert all("No mean of five" in row.values["epochs"].erratum for row in odd)


@pytest.mark.parametrize("name", table_names())
def test_every_row_is_a_recipe_that_resolves(name: str) -> None:
    table = published_table(name)
    names = [run for row in table.rows for run, _ in table.runs(row)]
    replicates = {
        "loku-table1": 5 * 24,
        "forgetting-table3": 3 + 3 * 18,
        "forgetting-table6": 1 + 3 * 3,
        "f2f-table9": 4 + 3 * 8,
    }
    assert len(set(names)) == len(names) == (0 if name in NO_RUNS else replicates.get(name, len(table.rows)))
    assert table.is_of_runs == (name not in NO_RUNS)
    for row in table.rows:
        assert all("$" not in recipe.to_yaml() for recipe in recipes(table, row)[:1])


def test_table_1_has_the_papers_settings_and_its_five_forget_sets() -> None:
    table = published_table("loku-table1")
    row = next(row for row in table.rows if row.id == "gpt-neo-125m-loku-ihl-fila-lora-fila-16")
    runs = recipes(table, row)
    assert len({str(recipe.data["forget"]) for recipe in runs}) == 5
    assert all(str(recipe.data["forget"][0]).removeprefix("suite ") in recipe.evaluate[0] for recipe in runs)
    stage = runs[0].stages[0]
    adapter = stage.adapter_or_full
    assert (stage.learning_rate, stage.duration, stage.batch_size) == (2e-4, Duration(20, "epochs"), 32)
    assert (stage.until, stage.evaluate_every) == ("extraction", Duration(1, "epochs"))
    assert (adapter.kind, adapter.init["name"], adapter.rank, adapter.targets) == ("lora", "fila", 16, "qvffn")
    for row in table.rows:
        if row.trained:
            kind = "full" if row.labels["adapter"] == "full" else "lora"
            assert recipes(table, row)[0].stages[0].adapter_or_full.kind == kind


@pytest.mark.parametrize("name", TOFU)
def test_the_tofu_tables_have_the_papers_settings(name: str) -> None:
    table = published_table(name)
    kept = {"forget01": "retain99", "forget05": "retain95", "forget10": "retain90"}
    rank = {2: 4, 3: 8, 4: 16, 5: 32, 6: 4, 7: 8, 8: 16, 9: 32}[table.number]
    for row in table.rows:
        if not row.trained:
            continue
        recipe = recipes(table, row)[0]
        stage, forget = recipe.stages[0], row.labels["forget"]
        adapter = stage.adapter_or_full
        assert stage.learning_rate == (2e-4 if table.number < 6 else 1e-4)
        assert (stage.duration, stage.batch_size, stage.collapse_at) == (Duration(5, "epochs"), 32, None)
        assert (adapter.kind, adapter.rank, adapter.alpha) == ("lora", rank, 2 * rank)
        assert adapter.init["name"] == ("fila" if "FILA" in row.labels["method"] else "default")
        assert [recipe.data[role][0].name for role in ("forget", "retain")] == [forget, kept[forget]]
        assert recipe.evaluate == [f"tofu:{forget}"]


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("KL", {"name": "ga_kl", "retain": "kl_from_reference"}),
        ("DPO", {"name": "dpo"}),
        ("NPO", {"name": "npo"}),
        ("GA+FILA", {"name": "ga"}),
        ("GD", {"name": "graddiff"}),
        ("IHL", {"name": "ihl"}),
        ("IHL+FILA", {"name": "loku"}),
    ],
)
def test_a_method_of_the_paper_is_this_one_of_ours(method: str, expected: dict[str, str]) -> None:
    table = published_table("loku-table2")
    rows = [row for row in table.rows if row.labels["method"] == method]
    assert [recipes(table, row)[0].stages[0].method for row in rows] == [expected] * 3
