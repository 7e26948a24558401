"""A sweep's page: whole, nothing from outside, nothing hostile alive, every run in its figures."""

import csv
import re
from pathlib import Path

from forgetting.report.sweep.page import build_sweep_report
from tests.report.fixtures import HOSTILE
from tests.report.run.test_page import Page
from tests.report.sweeps import measure, run, write_sweep

RUNS = [
    run(method, seed, {"forget/ma": base + 0.01 * int(seed), "retain/perplexity": 5 + 10 * base + int(seed)})
    for method, base in (("GD", 0.3), ("LoKU", 0.1))
    for seed in ("0", "1", "2")
]


def page_of(tmp_path: Path, runs: list, **more: object) -> tuple[Page, str]:
    text = build_sweep_report(write_sweep(tmp_path / "s", runs, **more)).read_text(encoding="utf-8")
    return Page(text), text


def test_the_page_is_whole_and_asks_for_nothing(tmp_path: Path) -> None:
    page, text = page_of(tmp_path, RUNS, before=[measure("forget/ma", 0.9), measure("retain/perplexity", 4.0)])
    assert page.sections == ["cautions", "table", "tradeoff", "measures", "runs"]
    assert page.crossed == [] and page.open == []
    assert "default-src 'none'" in text
    assert "script" not in page.tags
    assert not [a for a in page.attributes if a[1] in ("src", "href") and not a[2].startswith("#")]
    assert "0.310 ± 0.010 (3)" in page.text
    assert "every run of the grid went to its end" in page.text.lower()


def test_a_figure_a_column_shows_every_run_its_mean_and_its_spread(tmp_path: Path) -> None:
    _, text = page_of(tmp_path, RUNS)
    figures = text.split("<figure")[2:]
    assert len(figures) == 2
    for figure in figures:
        assert figure.count('class="single') == 6
        assert figure.count('class="point') == 2
        assert figure.count('class="error') == 2
        assert figure.count(">n 3<") == 2


def test_the_spread_is_drawn_to_scale(tmp_path: Path) -> None:
    _, text = page_of(tmp_path, RUNS)
    figure = text.split("<figure")[2]
    runs = [float(x) for x in re.findall(r'<circle cx="([0-9.]+)"[^>]*class="single s0"', figure)]
    ends = re.search(r'class="error s0" x1="([0-9.]+)" x2="([0-9.]+)"', figure)
    assert ends is not None and len(runs) == 3
    # 0.30, 0.31 and 0.32: one sample standard deviation is exactly the step between them.
    assert abs(float(ends[1]) - runs[0]) < 0.1
    assert abs(float(ends[2]) - runs[2]) < 0.1


def test_one_seed_has_a_point_and_no_bar(tmp_path: Path) -> None:
    _, text = page_of(tmp_path, [RUNS[0], RUNS[3]])
    assert 'class="error' not in text.split("<figure")[2]


def test_failures_are_told_before_the_table(tmp_path: Path) -> None:
    page, _ = page_of(tmp_path, [*RUNS[:2], run("GD", "2", status="failed", error="out of luck")])
    assert page.text.index("GD-2 failed: out of luck") < page.text.index("Mean ± sample")
    assert "2 of 3 seed 2 failed" in page.text


def test_a_sweep_in_which_all_failed_has_a_page(tmp_path: Path) -> None:
    page, _ = page_of(tmp_path, [run("GD", "0", status="failed", error="no")])
    assert "GD-0 failed: no" in page.text


def test_hostile_names_and_errors_are_text(tmp_path: Path) -> None:
    for number, hostile in enumerate(HOSTILE):
        runs = [
            run(hostile, "0", {"forget/ma": 0.5, "retain/f1": 0.5}, message=hostile),
            run(hostile, "1", status="failed", error=hostile, overrides=[hostile]),
        ]
        page, text = page_of(tmp_path / str(number), runs, name=hostile)
        assert not page.tags & {"script", "img"}
        assert "<b>bold" not in text
        assert page.crossed == []
        assert "\x1b" not in text


def test_the_csv_stands_beside_the_page(tmp_path: Path) -> None:
    page_of(tmp_path, RUNS)
    with (tmp_path / "s" / "sweep.csv").open(newline="") as file:
        assert [row["method"] for row in csv.DictReader(file)] == ["GD", "LoKU"]
