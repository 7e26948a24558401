"""One page: every section, nothing from outside, nothing hostile alive."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from forgetting.core.errors import RunError
from forgetting.report.run.page import build_report
from tests.report.fixtures import BEFORE, GA_RUN, HOSTILE, HOSTILE_RUN, IHL, IHL_RUN, NPO_RUN, Story, write_run

SECTIONS = [
    "verdict",
    "table",
    "tradeoff",
    "curves",
    "answers",
    "measures",
    "selection",
    "cost",
    "data",
    "prompt",
    "recipe",
    "environment",
    "missing",
]
VOID = {"meta", "br", "img", "input", "link", "hr"}


class Page(HTMLParser):
    """Tags, attributes, section ids and text, and whether every element is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self.sections: list[str] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.crossed: list[str] = []
        self.feed(text)
        self.text = " ".join("".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag == "section":
            self.sections.append(dict(attrs)["id"] or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.crossed.append(tag)

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.words.append(data)


def page_of(tmp_path: Path, *stories: Story, title: str | None = None) -> tuple[Page, str]:
    folders = [write_run(tmp_path / f"run{i}", story) for i, story in enumerate(stories)]
    text = build_report(folders, tmp_path / "out" / "report.html", title=title).read_text(encoding="utf-8")
    return Page(text), text


EVERY = {
    "one": (IHL_RUN,),
    "three": (IHL_RUN, NPO_RUN, GA_RUN),
    "collapsed": (GA_RUN,),
    "no oracle": (replace(IHL_RUN, oracle=None),),
    "nothing": (Story(name="x", after=None, before=None, oracle=None, epochs=(), questions=0, selected=False),),
    "hostile": (HOSTILE_RUN,),
    "no intervals": (replace(NPO_RUN, intervals=False),),
}


@pytest.mark.parametrize("stories", EVERY.values(), ids=EVERY.keys())
def test_every_page_is_whole_and_harmless(tmp_path: Path, stories: tuple[Story, ...]) -> None:
    page, text = page_of(tmp_path, *stories)
    assert page.sections == SECTIONS
    assert (page.open, page.crossed) == ([], [])
    assert not page.tags & {"script", "img", "link", "iframe", "object", "embed", "form", "base"}
    assert not [a for a in page.attributes if a[1].startswith("on")]
    assert all(value.startswith("#") for _, name, value in page.attributes if name in {"href", "src", "action"})
    assert not re.search(r"url\(|@import", text)
    assert "default-src 'none'" in text
    assert len(text.encode()) < 1_000_000
    assert not list((tmp_path / "out").glob("*.partial"))


def test_hostile_text_is_shown_as_text(tmp_path: Path) -> None:
    page, text = page_of(tmp_path, HOSTILE_RUN)
    assert "onerror=alert(1)" in page.text
    assert HOSTILE[0] not in text
    assert "w" * 400 in page.text
    assert "{{ 7 * 7 }}" in page.text
    assert "\x00" not in text
    assert "\x1b" not in text
    assert "line one\nline two" in text
    assert 'dir="auto"' in text


def test_a_lone_surrogate_does_not_stop_the_report(tmp_path: Path) -> None:
    page, _ = page_of(tmp_path, replace(IHL_RUN, name="odd \ud800 name"))
    assert r"odd \ud800 name" in page.text


def test_the_question_the_verdict_and_the_numbers_are_on_the_page(tmp_path: Path) -> None:
    page, _ = page_of(tmp_path, IHL_RUN)
    assert "Can 13 rarely mentioned people be forgotten without harm to anyone else?" in page.text
    assert "The forget set is down to the oracle's level" in page.text
    assert "0.190 0.118–0.291" in page.text
    assert "9.6·10⁻²⁹" in page.text
    assert "The highest balance of forgetting and keeping" in page.text
    assert "✓ chosen" in page.text
    assert "412 MiB" in page.text
    assert "6.66 % 55 296 of 830 000" in page.text
    assert "learning_rate: 3.0e-4" in page.text
    assert "2.13.0" in page.text


def test_the_cost_is_told_in_parts(tmp_path: Path) -> None:
    flops = {"forget": 1e12, "retain": 2e12, "evaluation": 5e12, "total": 8e12, "reason": ""}
    page, _ = page_of(tmp_path, replace(IHL_RUN, flops=flops), NPO_RUN)
    assert "8.00 TFLOP forget 1.00 TFLOP retain 2.00 TFLOP evaluation 5.00 TFLOP0.4 s8.6 s5.2 s" in page.text
    assert "— not counted—8.6 s5.2 s" in page.text
    assert "seconds of preparing and training" in page.text


def test_several_runs_are_compared_and_each_judged(tmp_path: Path) -> None:
    page, _ = page_of(tmp_path, IHL_RUN, NPO_RUN, GA_RUN, title="Three ways")
    assert "Three ways" in page.text
    assert "ga failed: training collapsed. ihl ends closest to the oracle" in page.text
    assert "npo + retain in full" in page.text
    assert "Not every run went to its end: ga collapsed" in page.text


def test_missing_values_are_dashes_with_reasons_and_are_listed(tmp_path: Path) -> None:
    page, _ = page_of(tmp_path, GA_RUN)
    reason = "no question of split 'all' has finite scores"
    assert f"— {reason}" in page.text
    assert f"model utility (ga): {reason}" in page.text


def test_a_page_with_all_values_says_that_nothing_is_missing(tmp_path: Path) -> None:
    page, _ = page_of(tmp_path, IHL_RUN)
    assert page.text.endswith("Every measure has a value for every model.")


def test_a_measure_of_one_model_only_is_listed_for_the_others(tmp_path: Path) -> None:
    before = {key: value for key, value in BEFORE.items() if key != "forget/truth_ratio"}
    page, _ = page_of(tmp_path, replace(IHL_RUN, before=before, after=IHL))
    assert "forget · truth ratio (before): not part of this evaluation" in page.text


def test_what_a_run_does_not_have_is_said(tmp_path: Path) -> None:
    page, _ = page_of(tmp_path, *EVERY["nothing"])
    for words in (
        "No model was measured on both the forget and the retain set.",
        "Nothing was measured during training.",
        "No records were kept.",
        "The run itself searched nothing: the settings are those of the recipe.",
    ):
        assert words in page.text


def test_nothing_is_said_of_an_oracle_where_there_is_none(tmp_path: Path) -> None:
    levels = {k: v for k, v in IHL.items() if not k.endswith("quality")}
    page, _ = page_of(tmp_path, replace(IHL_RUN, oracle=None, after=levels, before=BEFORE))
    assert "The whole way" in page.text
    for words in ("Dashed: the oracle", "falls below the oracle’s level", "The shaded field"):
        assert words not in page.text
    page, _ = page_of(tmp_path / "with", replace(IHL_RUN, after=levels))
    assert "Dashed: the oracle’s level." in page.text
    assert "falls below the oracle’s level" in page.text


def test_what_was_measured_on_the_way_is_not_called_unmeasured(tmp_path: Path) -> None:
    page, _ = page_of(tmp_path, replace(IHL_RUN, epochs=(5,), path={5: {"forget/truth_ratio": 0.5}}))
    assert "Nothing was measured during training." not in page.text


def test_match_is_said_in_words_and_not_by_colour_alone(tmp_path: Path) -> None:
    page, _ = page_of(tmp_path, IHL_RUN)
    assert page.text.count("✓ right") > 1
    assert page.text.count("✗ other") > 1


def test_the_same_runs_give_the_same_page(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", IHL_RUN)
    first = build_report([folder], tmp_path / "a.html").read_bytes()
    assert build_report([folder], tmp_path / "b.html").read_bytes() == first


def test_no_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run folder was given"):
        build_report([], tmp_path / "a.html")


def test_a_broken_run_leaves_the_old_report(tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    out.write_text("old")
    folder = write_run(tmp_path / "run", IHL_RUN)
    (folder / "records" / "after.jsonl").unlink()
    with pytest.raises(RunError, match=r"after\.jsonl: no such record file"):
        build_report([folder], out)
    assert out.read_text() == "old"
    assert not list(tmp_path.glob("*.partial"))
