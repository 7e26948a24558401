"""Runs are ranked only by what was measured alike, and what stands against it is said."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from forgetting.report.verdict.several_runs import comparison
from forgetting.runs.results import Results
from tests.report.verdict.recorded import recorded, spread


def run(folder: Path, forget: float, *, oracle: float | None = 0.2, start: float = 0.9, **more: object) -> Results:
    return recorded(
        folder,
        before={"forget": spread(start), "retain": spread(start)},
        after={"forget": spread(forget), "retain": spread(start - 0.1)},
        oracle=None if oracle is None else {"forget": spread(oracle), "retain": spread(0.9)},
        **more,  # type: ignore[arg-type]
    )


def said(runs: Sequence[Results]) -> str:
    return " ".join(comparison(runs).sentences)


def test_equal_questions_and_one_oracle_are_ranked(tmp_path: Path) -> None:
    runs = [run(tmp_path / "a", 0.25), run(tmp_path / "b", 0.6)]
    assert comparison(runs).headline.startswith("a ends closest to the oracle")


def test_other_examples_crown_no_run(tmp_path: Path) -> None:
    runs = [run(tmp_path / "a", 0.25), run(tmp_path / "b", 0.6, ids="other")]
    headline = comparison(runs).headline
    assert headline == (
        "Nothing says which run forgets rightly, since a and b were measured on other examples; "
        "nothing says which run keeps most."
    )
    assert "told apart" not in said(runs)


def test_another_set_to_forget_crowns_no_run(tmp_path: Path) -> None:
    runs = [run(tmp_path / "a", 0.25), run(tmp_path / "b", 0.6, data={"forget": {"sha256": "z"}})]
    assert "since a and b were to forget other examples" in comparison(runs).headline


def test_hashed_digests_do_not_show_other_data(tmp_path: Path) -> None:
    """Runs that are redacted with keys of their own have other digests of the same data."""
    runs = [run(tmp_path / "a", 0.25), run(tmp_path / "b", 0.6, data={"forget": {"sha256": "z"}}, redacted=True)]
    judged = comparison(runs)
    assert "since nothing shows that a and b were to forget the same examples" in judged.headline
    assert not any("other examples" in text or "differ in more" in text for text in judged.sentences)


def test_another_oracle_crowns_no_run(tmp_path: Path) -> None:
    runs = [run(tmp_path / "a", 0.25), run(tmp_path / "b", 0.6, oracle=0.5)]
    assert "since a and b are measured by oracles that have different values" in comparison(runs).headline


def test_a_run_alone_with_a_measure_is_not_crowned(tmp_path: Path) -> None:
    alone, bare = run(tmp_path / "a", 0.25), run(tmp_path / "b", 0.6)
    bare = replace(bare, evaluations=tuple(replace(e, measures=e.measures[-1:]) for e in bare.evaluations))
    headline = comparison([alone, bare]).headline
    assert "only a has this measure" in headline
    assert "nothing says which run keeps most" in headline


def test_fine_tuning_is_not_ranked_by_what_it_forgot(tmp_path: Path) -> None:
    runs = [run(tmp_path / name, forget, data={"train": {}}) for name, forget in (("a", 0.25), ("b", 0.6))]
    assert comparison(runs).headline.startswith("None of the runs was to forget anything; ")


def test_another_start_crowns_no_keeper(tmp_path: Path) -> None:
    runs = [run(tmp_path / "a", 0.25), run(tmp_path / "b", 0.25, start=0.7)]
    assert "nothing says which run keeps most" in comparison(runs).headline
    assert "a and b start from different values: no order of keeping is said" in said(runs)
