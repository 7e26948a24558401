"""The section of a selection: what it says in words, that it is there only where tokens were selected, and harmless."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from forgetting.core.errors import RunError
from forgetting.report.run.page import build_report
from forgetting.report.tokens.section import qualities, quality_page
from forgetting.runs.results import Results
from forgetting.runs.token_selection import read_selection
from tests.report.fixtures import HOSTILE, IHL_RUN, write_run
from tests.report.run.test_page import Page
from tests.report.tokens.test_section_made import CORPUS, NOISE, plausible, selected_run

EVIL = "</style><script>alert(1)</script>"
SMALL: dict[str, Any] = {
    "reference": "stage:warm",
    "asked": 0.7,
    "share_positive": 0.75,
    "share_above_zero": 0.5,
    "threshold": -0.25,
    "ties": 2,
    "tokens": 800,
    "positive": 600,
    "negative": 200,
    "ignored": 0,
    "rows": 9,
}


def page_of(folder: Path, *runs: Path) -> tuple[Page, str]:
    text = build_report(list(runs), folder / "report.html").read_text(encoding="utf-8")
    return Page(text), text


def said(**change: Any) -> str:
    """The text of a selection's own page, with plain spaces."""
    return Page(quality_page(read_selection({**SMALL, **change}, "x"), "x")).text.replace("\N{NO-BREAK SPACE}", " ")


def test_a_run_that_selected_nothing_shows_nothing(tmp_path: Path) -> None:
    page, text = page_of(tmp_path, write_run(tmp_path / "run", IHL_RUN))
    assert "quality" not in page.sections
    assert "#quality" not in text
    assert "The corpus" not in page.text


def test_a_selection_has_its_section_between_the_curves_and_the_answers(tmp_path: Path) -> None:
    page, text = page_of(tmp_path, selected_run(tmp_path / "run", corpus=CORPUS))
    assert page.sections[page.sections.index("quality") - 1 :][:3] == ["curves", "quality", "answers"]
    assert 'href="#quality"' in text
    for words in (
        "Of 6 000 answer tokens in 512 examples, 70.0 % are learnt and 30.0 % forgotten.",
        "Quality over the corpus",
        "Loss of both kinds of token over training",
        "λ, the weight of forgetting",
        "Negative tokens by source",
        "16 more examples",
        "Tokens with the lowest quality",
        "28 more",
        "The corpus",
    ):
        assert words in page.text
    assert (page.open, page.crossed) == ([], [])


def test_the_words_say_what_was_asked_and_what_came_of_it() -> None:
    text = said()
    assert "Of 800 answer tokens in 9 examples, 75.0 % are learnt and 25.0 % forgotten." in text
    assert "the reference is the model that stage “warm” trained" in text
    assert "Asked for: the 70.0 % of tokens with the highest Q." in text
    assert "The threshold came to lie at Q = −0.250; 2 that lie exactly on it are learnt." in text
    assert (
        "Q is above zero for 50.0 % of all tokens, so 25.0 % are learnt although the reference finds them no easier."
        in text
    )


def test_a_threshold_above_zero_leaves_out_what_became_easier() -> None:
    text = said(share_positive=0.25, threshold=0.1, ties=0)
    assert "so 25.0 % are not learnt although the reference finds them easier." in text
    assert "The threshold came to lie at Q = +0.100. Q is" in text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"asked": "zero"}, "Asked for: all tokens with Q above zero."),
        ({"notes": ["the paper finds this threshold harmful"]}, "the paper finds this threshold harmful"),
        ({"noise": NOISE}, "all0.812 0.800–0.8240.740 0.720–0.760"),
        ({"reference": "scores cache/x"}, "the reference is the one whose scores are in “cache/x”"),
        ({"asked": "auto"}, "rounded up to the next 5 %"),
        ({"level": "sequence"}, "Whole answers were selected: the Q of an answer is the mean of its tokens."),
        ({"reference": "adapters/warm"}, "the reference is the model in “adapters/warm”"),
        ({"reference": None}, "the reference is a model that was trained on other data of the same kind"),
        (
            {"negative": 50, "ignored": 150, "forget_by": "random"},
            "Below the threshold 50 tokens are negative (drawn at random), the other 150 are left out of training.",
        ),
        ({"negative": 50, "ignored": 150}, "75.0 % are learnt, 6.25 % forgotten and 18.8 % ignored."),
        ({"positive": 0, "negative": 0, "ignored": 800}, "in 9 examples, 100 % are ignored."),
        ({"tokens": 0}, "No answer token was selected."),
    ],
)
def test_other_selections_in_words(change: dict[str, Any], words: str) -> None:
    assert words in said(**change)


def test_what_lies_outside_the_figures_is_told() -> None:
    histogram = {"edges": [-1.0, 0.0, 2.0], "counts": [390, 400], "below": 4, "above": 6}
    text = said(histogram=histogram)
    assert "4 tokens (0.500 %) lie left of the figures (Q below −1.00) and 6 tokens (0.750 %) lie right" in text
    assert "The bar that the threshold cuts holds tokens of both sides." in text
    assert "So does the threshold" not in text
    on_edge = said(histogram=histogram, threshold=0.0)
    assert "both sides" not in on_edge
    assert "So does" not in on_edge
    assert "So does the threshold, −3.00." in said(histogram=histogram, threshold=-3.0)
    assert "4 answers (0.500 %) lie left" in said(histogram=histogram, level="sequence")


def test_where_the_weight_was_zero_the_negative_tokens_are_ignored(tmp_path: Path) -> None:
    page, _ = page_of(tmp_path, selected_run(tmp_path / "run", t_max=0.0))
    assert "are learnt and 30.0 % ignored. The negative tokens had weight 0 on every step." in page.text
    assert "forgotten" not in page.text.split("Token quality")[-1].split("Answers, before")[0]


def test_several_runs_fold_their_figures_and_name_their_stage(tmp_path: Path) -> None:
    one = selected_run(tmp_path / "one")
    other = selected_run(tmp_path / "other", plausible(0.5), story=replace(IHL_RUN, name="half"))
    page, _ = page_of(tmp_path, one, write_run(tmp_path / "none", replace(IHL_RUN, name="plain")), other)
    assert "ihl, stage unlearn" in page.text
    assert "half, stage unlearn" in page.text
    assert "plain, stage" not in page.text
    assert [q.run for q in qualities([Results.load(one), Results.load(other)])] == [0, 1]


def hostile() -> dict[str, Any]:
    texts = [EVIL, " ", "\n", "", "\x00\x1b", "\u202eevil\u202c", *HOSTILE]
    tokens = [{"text": text, "q": -1.0, "sign": -1} for text in texts]
    lowest = [{"key": EVIL, "before": text, "token": text, "after": text, "q": -9.0} for text in texts]
    return {
        **plausible(),
        "reference": f"stage:{EVIL}",
        "notes": [EVIL],
        "noise": {"quality": {"value": None, "reason": EVIL}, "kinds": {EVIL: {}, "b": {}}},
        "sources": [{"source": EVIL, "tokens": 10, "negative": 3}],
        "examples": [{"key": EVIL, "where": EVIL, "prompt": EVIL, "tokens": tokens}],
        "lowest": lowest,
    }


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    corpus = {"sources": [{"source": EVIL, "rows": 1}], "duplicates": {"policy": EVIL}}
    run = selected_run(tmp_path / "run", hostile(), corpus=corpus)
    for page, text in (
        page_of(tmp_path, run),
        ((own := quality_page(read_selection(hostile(), "x"), EVIL)) and Page(own), own),
    ):
        assert not page.tags & {"script", "img", "b-x", "link", "iframe"}
        assert text.count("</style>") == 1
        assert EVIL not in text
        assert "alert(1)" in page.text
        assert not [a for a in page.attributes if a[1].startswith("on")]
        assert (page.open, page.crossed) == ([], [])
        assert not re.search("[\x00\x1b\u202e\u202c]", text.split("Tokens with the lowest")[0].split("Examples <")[-1])
        assert ">␣</span>" in text
        assert ">⏎\n</span>" in text
        assert ">∅</span>" in text


def test_negative_tokens_are_told_by_more_than_colour() -> None:
    token = {"text": "odd", "q": -2.0, "sign": -1}
    text = quality_page(read_selection({**plausible(), "examples": [{"key": "a", "tokens": [token]}]}, "x"), "x")
    assert re.search(r'<span class="token n\d negative" title="Q −2\.00, forgotten">odd</span>', text)
    assert re.search(r"\.token\.negative \{ text-decoration: underline", text)


def test_tokens_stand_without_a_gap_between_them() -> None:
    tokens = [{"text": text, "q": 0.1, "sign": 1} for text in ("Par", "is", " is")]
    page = Page(quality_page(read_selection({**plausible(), "examples": [{"key": "a", "tokens": tokens}]}, "x"), "x"))
    assert "Paris is" in page.text


def test_a_page_of_its_own_needs_no_network_and_no_run() -> None:
    text = quality_page(read_selection(plausible(), "x"), "Dolly and Flan")
    page = Page(text)
    assert "default-src 'none'" in text
    assert not page.tags & {"script", "link", "img"}
    assert page.text.startswith("Dolly and Flan")
    assert "Loss of both kinds" not in page.text
    assert len(text.encode()) < 1_000_000


def test_twenty_long_examples_stay_a_page_of_bearable_size() -> None:
    tokens = [{"text": " word", "q": 0.123, "sign": 1}] * 4096
    text = quality_page(
        read_selection({**plausible(), "examples": [{"key": str(i), "tokens": tokens} for i in range(20)]}, "x"), "x"
    )
    assert len(text.encode()) < 2_000_000
    assert "3\u202f496 more tokens are not shown" in text


def test_a_selection_that_is_none_names_the_file(tmp_path: Path) -> None:
    folder = selected_run(tmp_path / "run")
    (folder / "stages" / "unlearn" / "selection.json").write_text(json.dumps({"tokens": "many"}))
    with pytest.raises(RunError, match=r"stages/unlearn/selection\.json: tokens: "):
        build_report([folder], tmp_path / "out.html")
