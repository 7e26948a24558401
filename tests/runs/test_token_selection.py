"""A selection is read as it was written; what it does not say is None, what it cannot mean is an error in one line."""

from pathlib import Path
from typing import Any

import pytest

from forgetting.core.errors import RunError
from forgetting.runs.results import Results
from forgetting.runs.token_selection import read_selection
from tests.report.fixtures import IHL_RUN, write_run
from tests.report.tokens.test_section_made import plausible, selected_run


def test_a_selection_keeps_its_numbers() -> None:
    raw = plausible()
    selection = read_selection(raw, "selection.json")
    assert selection.threshold == raw["threshold"]
    assert selection.histogram is not None
    assert selection.histogram.total == raw["tokens"]
    assert [one.source for one in selection.sources] == [one["source"] for one in raw["sources"]]
    assert selection.examples[0].tokens[0].q == raw["examples"][0]["tokens"][0]["q"]


def test_what_is_not_said_is_none() -> None:
    selection = read_selection({}, "selection.json")
    assert (selection.threshold, selection.tokens, selection.histogram, selection.examples) == (None, None, None, ())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tokens": "many"}, r"^run/selection\.json: tokens: .*; select the tokens again$"),
        ({"examples": [{"tokens": [{"text": "a", "q": 0.1, "sign": 3}]}]}, r"examples\.0\.tokens\.0\.sign: "),
        ({"histogram": {"edges": [0.0, 1.0], "counts": [1, 2]}}, "histogram: .*2 counts need 3 edges, not 2"),
        ({"histogram": {"edges": [0.0, float("nan")], "counts": [1]}}, "an edge is not a finite number"),
    ],
)
def test_what_is_no_selection_names_its_key(change: dict[str, Any], words: str) -> None:
    with pytest.raises(RunError, match=words) as caught:
        read_selection({**plausible(), **change}, "run/selection.json")
    assert "\n" not in str(caught.value)


def test_a_run_without_a_selection_has_none(tmp_path: Path) -> None:
    run = Results.load(write_run(tmp_path / "run", IHL_RUN))
    assert run.token_selection("unlearn") is None
    assert run.corpus is None


def test_a_run_reads_its_selection_and_the_weights_of_its_steps(tmp_path: Path) -> None:
    run = Results.load(selected_run(tmp_path / "run", steps=4))
    selection = run.token_selection("unlearn")
    assert selection == read_selection(plausible(), "x")
    assert [step.weights["negative"] for step in run.history("unlearn")] == [0.0, -0.0625, -0.125, -0.1875]


@pytest.mark.parametrize(("text", "words"), [("{", "not readable as JSON"), ("[1]", "holds a list, not a selection")])
def test_a_broken_selection_names_the_file(tmp_path: Path, text: str, words: str) -> None:
    folder = selected_run(tmp_path / "run")
    (folder / "stages" / "unlearn" / "selection.json").write_text(text)
    with pytest.raises(RunError, match=rf"selection\.json: {words}.*select the tokens again"):
        Results.load(folder).token_selection("unlearn")
