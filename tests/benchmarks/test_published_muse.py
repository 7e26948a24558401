"""MUSE's and WMDP's tables: the published figures, consistent with themselves, whose columns are measures of ours."""

from __future__ import annotations

import pytest

from forgetting.benchmarks.muse import muse_metrics
from forgetting.benchmarks.published import published_table
from forgetting.benchmarks.wmdp import wmdp_metrics
from forgetting.metrics.membership.privleak import relative_auc
from forgetting.metrics.score import score
from tests.golden import golden

MUSE, WMDP = golden("muse_published"), golden("wmdp_published")


def values(name: str, **labels: str) -> dict[str, float | None]:
    (row,) = (row for row in published_table(name).rows if labels.items() <= row.labels.items())
    return {key: value.value for key, value in row.values.items()}


@pytest.mark.parametrize("corpus", ["News", "Books"])
def test_the_main_table_is_that_of_the_authors_logs(corpus: str) -> None:
    for method, figures in MUSE["tables"][corpus].items():
        found = values("muse-table1", corpus=corpus, method=method)
        assert list(found.values()) == [
            figures[key]
            for key in (
                "verbmem_f",
                "knowmem_f",
                "knowmem_r",
                "auc_forget_holdout_min40 (1 = forget looks unseen)",
                "privleak",
            )
        ]


@pytest.mark.parametrize("corpus", ["News", "Books"])
def test_privleak_follows_from_the_printed_auc_to_rounding(corpus: str) -> None:
    retrained = values("muse-table1", corpus=corpus, method="Retrain")["auc"]
    assert retrained is not None
    for row in published_table("muse-table1").rows:
        if row.labels["corpus"] == corpus:
            auc, printed = row.values["auc"].value, row.values["privleak"].value
            assert auc is not None and printed is not None
            ends = [relative_auc(auc + shift, retrained) for shift in (-1e-4, 1e-4)]
            assert ends[0] is not None and ends[1] is not None
            assert ends[0] - 0.03 <= printed <= ends[1] + 0.03, row.id


def test_every_privleak_says_how_noisy_it_is_and_the_doubtful_row_is_marked() -> None:
    for row in published_table("muse-table1").rows:
        told = row.values["privleak"].erratum
        assert ("(95%)" in told) == (row.labels["method"] != "Retrain")
        assert ("with care" in told) == (row.labels["method"] == "Task Vector")


def test_scale_and_sustainability_begin_with_the_main_table() -> None:
    kinds = MUSE[
        "scalability_and_sustainability (News, knowmem_r by number of folds; the first fold is the table's row)"
    ]
    for name, kind in (("muse-table2", "scal"), ("muse-table3", "sust")):
        for method, by_fold in kinds[kind].items():
            first = values("muse-table1", corpus="News", method=method)["retain_knowmem"]
            assert list(values(name, method=method).values()) == [first, *by_fold.values()]


def test_the_other_programs_figures_are_theirs() -> None:
    figures = next(value for key, value in MUSE.items() if key.startswith("open_unlearning_docs_repro"))
    for corpus, rows in figures.items():
        for method, row in rows.items():
            assert list(values("muse-table4", corpus=corpus, method=method).values()) == row
    for method, row in WMDP["zephyr-7b-beta accuracy %"].items():
        assert list(values("wmdp-table1", method=method).values()) == list(row.values())


def test_the_columns_name_measures_that_the_suites_give() -> None:
    muse = {m.key for m in score(muse_metrics(), [], [])}
    wmdp = {m.key for m in score(wmdp_metrics(("bio", "chem", "cyber"), ()), [], None)} | {"mmlu/acc"}
    for name, given in (*((f"muse-table{n}", muse) for n in range(1, 5)), ("wmdp-table1", wmdp)):
        for column in published_table(name).columns:
            assert set(column.measures) <= given, (name, column.key)
            assert bool(column.measures) != bool(column.unmeasured)
