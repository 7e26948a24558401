"""docs/theory.md says what the experiment measures."""

import re

import pytest

from experiments.surrogate.figures import figures
from experiments.surrogate.page import FIGURES, PAGE, PARTS, filled, parts
from experiments.surrogate.results import Results, measure


@pytest.fixture(scope="module")
def results() -> Results:
    return measure()


def test_every_number_of_the_page_is_measured(results: Results) -> None:
    for name, text in parts(PAGE.read_text()).items():
        assert text == PARTS[name](results) + "\n", (
            f"{name} in docs/theory.md is old: run `python -m experiments.surrogate`"
        )


def test_the_figures_are_drawn_from_the_same_numbers(results: Results) -> None:
    drawn = figures(results)
    assert {file.name for file in FIGURES.glob("*.svg")} == set(drawn)
    for name, drawing in drawn.items():
        assert f"(theory/{name})" in PAGE.read_text()
        committed = (FIGURES / name).read_text()
        assert curves(committed) == curves(drawing), f"docs/theory/{name} is old: run `python -m experiments.surrogate`"


def curves(drawing: str) -> list[str]:
    found = re.findall(r'<polyline points="([^"]+)"', drawing)
    assert found
    return found


def test_the_verdicts_follow_from_the_numbers(results: Results) -> None:
    table = PARTS["claims"](results)
    verdicts = [line.split(" | ")[3] for line in table.splitlines()[2:]]
    assert set(verdicts) == {"holds", "**fails**"}
    assert verdicts[:4] == ["holds", "holds", "**fails**", "**fails**"]


def test_only_the_neutral_target_stays_forgotten(results: Results) -> None:
    ends = {one.name: one.trace.norms[-1] / one.trace.norms[0] for one in results.readings}
    assert ends.pop("descent to the neutral target") < 0.1
    assert all(end > 2 for end in ends.values())
    assert all(one.trace.norms[one.best] < 0.5 * one.trace.norms[0] for one in results.readings), "all pass near it"


def test_a_page_that_lacks_a_part_is_refused() -> None:
    page = PAGE.read_text().replace("<!-- tilts -->", "")
    with pytest.raises(ValueError, match="differ in the parts tilts"):
        parts(page)


def test_filling_in_changes_the_marked_parts_alone(results: Results) -> None:
    page = "a\n<!-- claims -->\nold\nlines\n<!-- /claims -->\nb\n<!-- tilts -->\n<!-- /tilts -->\n"
    claims, tilts = PARTS["claims"](results), PARTS["tilts"](results)
    new = f"a\n<!-- claims -->\n{claims}\n<!-- /claims -->\nb\n<!-- tilts -->\n{tilts}\n<!-- /tilts -->\n"
    assert filled(page, results) == new == filled(new, results)
