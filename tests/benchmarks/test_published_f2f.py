"""Forget-to-Focus's printed tables agree with themselves, or an erratum says where not."""

import math

import pytest

from forgetting.benchmarks.published import Published, published_table

TABLES = [f"f2f-table{number}" for number in (1, 2, 3, 4, 5, 8, 9)]
QUESTIONS = {"mbpp": 500, "humaneval": 164, "pubmedqa": 500, "medmcqa": 4183, "hendrycks_math": 5000, "gsm8k": 1319}
"""How many questions the harness asks of each task."""
DOMAINS = {
    "coding": ("mbpp", "humaneval"),
    "medical": ("pubmedqa", "medmcqa"),
    "maths": ("hendrycks_math", "gsm8k"),
}


def cell(name: str, column: str, **labels: str) -> Published:
    [row] = [r for r in published_table(name).rows if labels.items() <= r.labels.items()]
    return row.values[column]


def value(name: str, column: str, **labels: str) -> float:
    found = cell(name, column, **labels).value
    assert found is not None
    return found


def shares(questions: int) -> set[float]:
    """The percentages that so many questions give: rounded or cut at two digits, or rounded at one."""
    exact = [100 * right / questions for right in range(questions + 1)]
    return {
        f(x)
        for x in exact
        for f in (lambda x: round(x, 2), lambda x: math.floor(100 * x + 1e-9) / 100, lambda x: round(x, 1))
    }


@pytest.mark.parametrize("name", TABLES)
def test_a_score_that_no_count_of_questions_gives_is_an_erratum(name: str) -> None:
    checked = 0
    for row in published_table(name).rows:
        seeds = 3 if name == "f2f-table9" and row.trained else 1
        for column, asked in QUESTIONS.items():
            found = row.values.get(column)
            if found is not None and found.value is not None:
                possible = found.value in shares(asked * seeds)
                assert possible != ("No share of" in found.erratum or "No mean of three" in found.erratum), (
                    row.id,
                    column,
                )
                checked += 1
    assert checked == {"1": 90, "2": 16, "3": 180, "4": 54, "5": 0, "8": 28, "9": 24}[name[-1]]


def test_all_but_one_of_the_broad_skills_are_shares_of_200_questions() -> None:
    odd = [
        (row.id, column, found.erratum)
        for row in published_table("f2f-table5").rows
        for column, found in row.values.items()
        if column != "alpaca_eval" and found.value not in shares(200)
    ]
    assert [(row, column) for row, column, _ in odd] == [("llama-3.1-8b-1-sft-lora-in-fp16", "winogrande")]
    assert "no share of 200" in odd[0][2]


def test_changes_against_the_base_model_are_differences_but_for_the_errata() -> None:
    """Table 5 prints its base models; table 2 does not, but three of four rows agree on one."""
    wrong = {}
    for row in published_table("f2f-table5").rows:
        for column, found in row.values.items():
            if row.trained:
                gained = found.value - value("f2f-table5", column, model=row.model, method="(1) Base Model")
                assert found.change is not None
                if abs(gained - found.change) > 0.0501:
                    wrong[row.id, column] = found.erratum
    bases = {
        ("qwen3-0.6b", "pubmedqa"): 57.80,
        ("qwen3-0.6b", "medmcqa"): 32.25,
        ("llama-3.1-8b", "pubmedqa"): value(
            "f2f-table9", "pubmedqa", model="llama-3.1-8b", domain="medical", method="Base"
        ),
        ("llama-3.1-8b", "medmcqa"): value(
            "f2f-table9", "medmcqa", model="llama-3.1-8b", domain="medical", method="Base"
        ),
    }
    for row in published_table("f2f-table2").rows:
        for column, found in row.values.items():
            if round(found.value - bases[row.model, column], 2) != found.change:
                wrong[row.id, column] = found.erratum
    assert set(wrong) == {
        ("qwen3-0.6b-3-unl-ga-full", "alpaca_eval"),
        ("qwen3-0.6b-3-sft-full", "alpaca_eval"),
        ("qwen3-0.6b-curllora-curlora", "pubmedqa"),
        ("qwen3-0.6b-dapt-full", "medmcqa"),
    }
    assert all("rinted" in erratum for erratum in wrong.values())


def test_table_9s_differences_are_those_of_its_means_and_its_deviations_are_fractions() -> None:
    for row in published_table("f2f-table9").rows:
        for column, found in row.values.items():
            if found.value is None or not row.trained:
                assert (found.std, found.change) == (None, None)
                continue
            assert found.std is not None and found.std < 0.02 and "fraction" in found.erratum
            if row.labels["method"] == "F2F":
                sft = value("f2f-table9", column, model=row.model, domain=row.labels["domain"], method="SFT")
                assert found.change is not None and abs(found.value - sft - found.change) <= 0.0501


def test_means_of_three_seeds_lie_above_the_single_runs_and_say_so() -> None:
    """The ten runs that table 9 repeats."""
    single = {
        ("qwen2.5-7b", "SFT"): ("f2f-table4", {"method": "(1) + SFT"}, "coding"),
        ("qwen2.5-7b", "F2F"): ("f2f-table4", {"method": "(2) + SFT"}, "coding"),
        ("llama-3.1-8b", "SFT"): ("f2f-table1", {"method": "(1) + SFT"}, "coding"),
        ("llama-3.1-8b", "F2F"): ("f2f-table1", {"method": "(2) + SFT"}, "coding"),
    }
    pairs = [
        (value("f2f-table9", column, model=model, domain=domain, method=method), table, labels, column, model, method)
        for (model, method), (table, labels, domain) in single.items()
        for column in DOMAINS[domain]
    ]
    pairs += [
        (
            value("f2f-table9", c, model="llama-3.1-8b", domain="medical", method="F2F"),
            "f2f-table2",
            {"method": "SFT"},
            c,
            "llama-3.1-8b",
            "F2F",
        )
        for c in DOMAINS["medical"]
    ]
    assert len(pairs) == 10
    for mean, table, labels, column, model, method in pairs:
        alone = value(table, column, model=model, **labels)
        assert mean > alone
        [row] = [
            r
            for r in published_table("f2f-table9").rows
            if r.model == model and r.labels["method"] == method and r.values[column].value is not None
        ]
        assert f"{alone:.2f}" in row.values[column].erratum


def test_the_same_settings_have_the_same_numbers_in_tables_1_2_3_and_8() -> None:
    methods = {
        "(2) Unl GA+GD": ("(1) Unl GA+GD",),
        "(2) + SFT": ("(1) + Tuning",),
        "(3) Unl GA": ("(2) Unl GA",),
        "(3) + SFT": ("(2) + SFT", "(2) + Tuning"),
    }
    select = {
        (row.model, row.labels["domain"], row.labels["method"]): row
        for row in published_table("f2f-table3").rows
        if row.labels["forget_set"] == "BC-Select"
    }
    seen = 0
    for (model, domain, method), row in select.items():
        if domain == "coding":
            [first] = [ours for ours, theirs in methods.items() if method in theirs]
            for column in DOMAINS[domain]:
                assert row.values[column].value == value("f2f-table1", column, model=model, method=first)
                seen += 1
    assert seen == 3 * 4 * 2
    for column in DOMAINS["medical"]:
        for model in ("qwen3-0.6b", "llama-3.1-8b"):
            tuned = select[model, "medical", "(1) + Tuning"].values[column].value
            assert tuned == value("f2f-table2", column, model=model, method="SFT")
        unlearned = select["llama-3.1-8b", "medical", "(1) Unl GA+GD"].values[column].value
        assert unlearned == value("f2f-table8", column, phase="Unlearning", rate="3e-5")
        tuned = select["llama-3.1-8b", "medical", "(1) + Tuning"].values[column].value
        assert tuned == value("f2f-table8", column, phase="Fine-Tuning", rate="2e-5")


def test_base_models_have_the_same_numbers_in_tables_1_4_and_9() -> None:
    for model, table in (("llama-3.1-8b", "f2f-table1"), ("qwen2.5-7b", "f2f-table4")):
        for column in DOMAINS["coding"]:
            alone = value(table, column, model=model, method="(1) Base Model")
            assert alone == value("f2f-table9", column, model=model, domain="coding", method="Base")


def test_claims_of_the_text_that_no_row_bears_out_are_in_the_notes() -> None:
    def gain(model: str, method: str) -> float:
        best = value("f2f-table1", "humaneval", model=model, method="(2) + SFT")
        return 100 * (best / value("f2f-table1", "humaneval", model=model, method=method) - 1)

    notes = " ".join(published_table("f2f-table1").notes)
    assert f"{gain('qwen3-0.6b', '(1) + SFT'):.1f}% over SFT" in notes and "32.5%" in notes
    assert round(gain("qwen2-72b", "(1) Base Model"), 2) == 11.95
    assert f"{gain('qwen2-72b', '(1) + SFT'):.1f}%" in notes and "over the base model" in notes
    others = ("(1) Base Model", "(1) + SFT", "(1) + DAPT", "(1) + LORA", "(1) + CurlLora")
    for gained in (gain("llama-3.1-8b", method) for method in others):
        assert abs(gained - 22.7) > 5 and f"{gained:.1f}%" in notes


def test_rows_that_repeat_the_base_model_are_errata() -> None:
    for model, columns in (("llama-2-13b", DOMAINS["coding"]), ("qwen2-72b", ("mbpp",))):
        for column in columns:
            both = [cell("f2f-table1", column, model=model, method=m) for m in ("(1) Base Model", "(2) Unl GA+GD")]
            assert both[0].value == both[1].value
            assert all("copy" in found.erratum for found in both)


def test_maths_look_swapped_where_the_harder_task_is_far_ahead() -> None:
    for row in published_table("f2f-table3").rows:
        if row.labels["domain"] == "maths":
            harder, easier = (row.values[column] for column in DOMAINS["maths"])
            assert harder.value is not None and easier.value is not None
            assert (harder.value > easier.value) == ("swapped" in harder.erratum) == ("swapped" in easier.erratum)


def test_the_judges_column_has_no_measure_and_says_why() -> None:
    [judged] = [column for column in published_table("f2f-table5").columns if not column.measures]
    assert judged.key == "alpaca_eval" and "GPT-4" in judged.unmeasured


def test_a_deviation_prints_as_it_was_printed() -> None:
    columns = {column.key: column for column in published_table("f2f-table9").columns}
    assert columns["humaneval"].std_text(0.004) == "0.004" and columns["humaneval"].text(44.35) == "44.35"


def test_the_interval_of_table_6_is_that_of_about_a_dozen_examples() -> None:
    """Of n examples, a 95% interval of the mean is about 2·1.96·s/√n wide, and s is the mean divided by d."""
    for row in published_table("f2f-table6").rows:
        mean, low, high, _, d = (value("f2f-table6", column, **row.labels) for column in row.values)
        assert low < mean < high
        examples = (2 * 1.96 * (mean / d) / (high - low)) ** 2
        assert 11 <= examples < 12 and "11 to 12" in row.values["low"].erratum


def test_table_7_beside_a_uniform_guess_among_four_options() -> None:
    uniform = {"nll": math.log(4), "brier": 3 * 0.25**2 + 0.75**2}
    assert (round(uniform["nll"], 3), uniform["brier"]) == (1.386, 0.75)
    for row in published_table("f2f-table7").rows:
        over = [value("f2f-table7", column, **row.labels) - guess for column, guess in uniform.items()]
        assert all(0 < more < 0.01 for more in over) == (row.labels["model"] == "F2F")
        assert "1.386" in row.values["nll"].erratum
