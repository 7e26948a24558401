"""What keeps two runs from one table, and what does not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from forgetting.report.board.comparable import apart, grouped
from forgetting.report.board.entry import entries
from tests.report.board.made import digests_with, made
from tests.report.fixtures import ORACLE, measure

OTHER_DATA = {"forget": {"examples": 78, "source": "x", "sha256": "ee" * 32}, "retain": {"sha256": "0a" * 32}}
OTHER_RETAIN = {"forget": {"examples": 78, "source": "x", "sha256": "5f" * 32}, "retain": {"sha256": "0b" * 32}}


def words(folder: Path, how: Mapping[str, Any]) -> list[str]:
    made(folder / "a", seed=0)
    made(folder / "b", **{"seed": 1, **how})
    (one, other), left_out = entries([folder])
    assert not left_out
    return apart(one, other)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"digests": digests_with("/model", "weights", "w1")}, "begins with another model"),
        ({"digests": digests_with("/measured", "forget", "m9")}, "is measured on other examples"),
        ({"digests": digests_with("/measured", "extra", "m9")}, "is measured on other examples"),
        ({"digests": digests_with("/read", "measured/forget", "p9")}, "is asked by other prompts"),
        ({"data": OTHER_DATA}, "was to forget other examples"),
        ({"data": OTHER_RETAIN}, "kept other examples"),
        ({"suite": "tofu"}, "is measured by another suite (tofu)"),
        ({"recipe": {"max_new_tokens": 3}}, "is asked in another way (max_new_tokens)"),
        ({"recipe": {"judge": {"model": "x"}}}, "is asked in another way (judge)"),
        ({"digests": None, "model": "other"}, "begins with another model"),
        (
            {"digests": digests_with("/redacted", "key", "k1")},
            "its digests were hashed by another key, so nothing shows that model and data are the same",
        ),
    ],
)
def test_what_is_not_comparable_is_said(tmp_path: Path, how: Mapping[str, Any], said: str) -> None:
    assert words(tmp_path, how) == [said]


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"method": "graddiff", "learning_rate": 0.1},
        {"digests": digests_with("/model", "config of transformers 6", "c9")},
        {"digests": digests_with("/read", "unlearn/forget", "t9")},
        {"digests": digests_with("unlearn", "holdout", "h0")},
        {"digests": None},
        {"recipe": {"threads": 2, "question": "another"}},
    ],
    ids=str,
)
def test_what_does_not_matter_keeps_none_apart(tmp_path: Path, how: Mapping[str, Any]) -> None:
    assert words(tmp_path, how) == []


def test_another_oracle_is_told_by_its_values(tmp_path: Path) -> None:
    import json

    made(tmp_path / "a")
    for name, value in (("b", 0.2104), ("c", 0.5)):
        made(tmp_path / name, method=name)
        file = tmp_path / name / "results.json"
        raw = json.loads(file.read_text())
        oracle = next(e for e in raw["evaluations"] if e["point"] == "oracle")
        oracle["measures"] = [measure(k, v if k != "forget/probability" else value) for k, v in ORACLE.items()]
        file.write_text(json.dumps(raw))
    (a, b, c), _ = entries([tmp_path])
    assert apart(a, b) == [] and apart(a, c) == ["is compared with another oracle"]


def test_groups_stand_in_the_order_of_their_size_and_say_what_sets_them_apart(tmp_path: Path) -> None:
    made(tmp_path / "a", suite="tofu")
    made(tmp_path / "b")
    made(tmp_path / "c", method="graddiff")
    kept, _ = entries([tmp_path])
    first, second = grouped(kept)
    assert [entry.name for entry in first.entries] == ["b", "c"] and first.apart == ()
    assert [entry.name for entry in second.entries] == ["a"]
    assert second.apart == ("is measured by another suite (tofu)",)
