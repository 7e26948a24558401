"""Where the data say what is wrong, the page says how well quality finds it, beside chance and the plain loss."""

from typing import Any

from forgetting.report.tokens.colours import Words
from forgetting.report.tokens.noise import NoiseRow, noise_of
from forgetting.runs.token_selection import TokenSelection
from tests.report.tokens.test_section_made import NOISE


def of(noise: dict[str, Any] | None, words: Words = Words()) -> Any:  # noqa: B008
    return noise_of(TokenSelection(noise=noise), words)


def test_what_is_not_known_is_not_shown() -> None:
    assert of(None) is None
    assert of({}) is None


def test_every_share_stands_beside_that_of_chance() -> None:
    text = of(NOISE).text.replace("\N{NO-BREAK SPACE}", " ")
    assert text == (
        "10.0 % of the tokens are known to be wrong. Of the negative tokens, 25.0 % are; of the wrong tokens, 75.0 % "
        "are forgotten. Tokens drawn at random would give 10.0 % and 30.0 %."
    )
    assert "75.0 % are ignored" in of(NOISE, Words("ignored")).text.replace("\N{NO-BREAK SPACE}", " ")


def test_all_noise_comes_first_then_its_kinds() -> None:
    rows = of(NOISE).rows
    assert rows[0] == NoiseRow("all", "0.812", "0.800–0.824", "0.740", "0.720–0.760")
    assert [row.kind for row in rows[1:]] == ["wrong answer", "boilerplate", "shuffled"]
    assert rows[1].loss_interval == ""


def test_one_kind_needs_no_row_of_its_own_and_a_missing_value_gives_its_reason() -> None:
    nothing = {"value": None, "count": 9, "reason": "no token is labelled"}
    found = of({"quality": nothing, "kinds": {"shuffled": NOISE["kinds"]["shuffled"]}})  # type: ignore[index]
    assert found.text == ""
    (row,) = found.rows
    assert row == NoiseRow("all", "—", "no token is labelled", "—", "")
