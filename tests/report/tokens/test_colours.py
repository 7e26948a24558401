"""Every token can be seen, has the colour of its side, and says its quality and what becomes of it."""

from dataclasses import replace

import pytest

from forgetting.report.tokens.colours import (
    BEFORE,
    HEAD,
    MOST,
    Words,
    bounds,
    low,
    pieces,
    shades,
    shown,
    signed,
    visible,
)
from forgetting.runs.token_selection import LowToken, Moments, ScoredExample, Token, TokenSelection, read_selection
from tests.report.tokens.test_section_made import plausible

SELECTION = read_selection({"threshold": 0.5, "quality": {"mean": 0.1, "std": 2.0}}, "x")


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        (" Paris", " Paris"),
        (" ", "␣"),
        ("   ", "␣␣␣"),
        ("\n", "⏎\n"),
        ("\n\n  ", "⏎\n⏎\n␣␣"),
        (".\n", ".⏎\n"),
        ("\t", "⇥"),
        ("\r\n", "␍⏎\n"),
        ("", "∅"),
        ("\u00a0", "⟨U+00A0⟩"),
        ("a\u200bb", "a⟨U+200B⟩b"),
        ("\u202eevil", "⟨U+202E⟩evil"),
        ("\ufeff", "⟨U+FEFF⟩"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("\ud800", "⟨U+D800⟩"),
        ("</style><script>", "</style><script>"),
    ],
)
def test_no_token_is_invisible_or_reorders_the_page(text: str, seen: str) -> None:
    assert visible(text) == seen


def test_colours_change_at_the_threshold_and_a_quarter_and_a_whole_deviation_from_it() -> None:
    assert bounds(SELECTION) == (-1.5, 0.0, 0.5, 1.0, 2.5)
    qs = (-1.6, -1.4, 0.49, 0.5, 1.1, 2.6)
    tokens = [Token(text="x", q=q, sign=1 if q >= 0.5 else -1) for q in qs]
    classes = [piece.class_ for piece in pieces(tokens, SELECTION, Words())]
    assert classes == ["n3 negative", "n2 negative", "n1 negative", "p1", "p2", "p3"]
    assert [shade.text for shade in shades(SELECTION)] == [
        "Q below −1.50",
        "−1.50 to 0",
        "0 to +0.500",
        "+0.500 to +1.00",
        "+1.00 to +2.50",
        "+2.50 or more",
    ]


@pytest.mark.parametrize("std", [None, 0.0, float("nan")])
def test_without_a_spread_the_colours_still_have_an_order(std: float | None) -> None:
    edges = bounds(read_selection({"threshold": None, "quality": {"std": std}}, "x"))
    assert list(edges) == sorted(set(edges))


def test_next_to_the_threshold_the_sign_knows_the_side() -> None:
    rounded = [Token(text="a", q=0.4999, sign=1), Token(text="b", q=0.5, sign=-1)]
    assert [p.class_ for p in pieces(rounded, SELECTION, Words())] == ["p1", "n1 negative"]


def test_where_whole_answers_are_selected_a_token_keeps_the_colour_of_its_own_quality() -> None:
    tokens = (Token(text="a", q=3.0, sign=-1), Token(text="b", q=-1.0, sign=-1), Token(text="c", q=None, sign=-1))
    example = ScoredExample(tokens=tokens)
    selection = TokenSelection(level="sequence", threshold=0.5, quality=SELECTION.quality, examples=(example,))
    # The file's spread is that of whole answers; the tokens shown are 2 from their mean.
    assert bounds(selection) == (-1.5, 0.0, 0.5, 1.0, 2.5)
    assert bounds(replace(selection, quality=Moments(std=0.1))) == bounds(selection)
    assert [p.class_ for p in pieces(tokens, selection, Words())] == ["p3 negative", "n2 negative", "unscored negative"]


def test_a_token_says_its_quality_and_what_becomes_of_it() -> None:
    tokens = [Token(text="a", q=1.234, sign=1), Token(text="b", q=-0.5, sign=-1), Token(text="c", q=-0.5, sign=0)]
    notes = [p.note for p in pieces(tokens, SELECTION, Words())]
    assert notes == ["Q +1.23, learnt", "Q −0.500, forgotten", "Q −0.500, ignored"]
    assert pieces(tokens, SELECTION, Words("ignored"))[1].note == "Q −0.500, ignored"


@pytest.mark.parametrize("q", [None, float("nan"), float("-inf")])
def test_a_token_without_a_finite_quality_has_no_colour(q: float | None) -> None:
    (piece,) = pieces([Token(text="a", q=q, sign=0)], SELECTION, Words())
    assert (piece.class_, piece.note) == ("unscored ignored", "no finite Q")


def test_signs_are_written() -> None:
    assert [signed(q) for q in (1.0, -1.0, 0.0, None, float("inf"))] == ["+1.00", "−1.00", "0", "—", "not finite"]


def test_long_examples_fold_and_longer_ones_are_cut() -> None:
    def of(count: int) -> tuple[int, int, int]:
        one = shown(ScoredExample(tokens=(Token(text="x", q=0.0),) * count), SELECTION, Words())
        return len(one.head), len(one.tail), one.left_out

    assert of(HEAD + 20) == (HEAD + 20, 0, 0)
    assert of(HEAD + 21) == (HEAD, 21, 0)
    assert of(MOST + 5) == (HEAD, MOST - HEAD, 5)


def test_an_example_counts_all_of_its_tokens() -> None:
    one = shown(read_selection(plausible(), "x").examples[0], SELECTION, Words())
    assert one.where == "dolly.jsonl:3 · row-0"
    learnt, forgotten = (int(word) for word in one.counts.split() if word.isdigit() and one.counts.index(word))
    assert one.counts == f"{learnt + forgotten} tokens: {learnt} learnt and {forgotten} forgotten"


def test_context_is_one_line_and_short() -> None:
    one = low(LowToken(key="k", before="x" * 500 + "\n", token="\n", after="\n" + "y" * 500, q=-5.1))
    assert (one.q, one.token, one.key) == ("−5.10", "⏎", "k")
    assert "\n" not in one.before + one.token + one.after
    assert one.before.startswith("…x")
    assert one.before.endswith("x⏎")
    assert len(one.before) == BEFORE + 1
