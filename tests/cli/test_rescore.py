"""`forget rescore`: every TOFU measure of a published log."""

import gzip
import json
import math
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import command

LOSSES = {"0": 0.5, "1": 1.25, "2": 3.0}
"""Mean loss of the right answers, by question; two tokens each."""


def log(shift: float = 0.0) -> dict[str, Any]:
    """A log of all four sets as TOFU's own code aggregates it."""
    said = {i: [f"Question: q{i}", "Answer: a b", "a b c d"] for i in LOSSES}
    one = {
        "avg_gt_loss": {i: loss + shift for i, loss in LOSSES.items()},
        "num_token_gt": dict.fromkeys(LOSSES, 2),
        "avg_paraphrased_loss": {i: loss + shift + 0.5 for i, loss in LOSSES.items()},
        "num_token_paraphrased": dict.fromkeys(LOSSES, 2),
        "average_perturb_loss": {i: [2.0, 4.0] for i in LOSSES},
        "num_token_perturb": {i: [2, 2] for i in LOSSES},
        "generated_text": said,
    }
    names = ("eval_log", "eval_real_author_wo_options", "eval_real_world_wo_options", "eval_log_forget")
    return {f"{name}.json": one for name in names}


@pytest.mark.parametrize("zipped", [False, True])
def test_the_measures_are_those_of_the_logs_columns(
    zipped: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {}
    for name, shift in (("log", 0.0), ("oracle", 1.0)):
        files[name] = tmp_path / f"{name}.json{'.gz' if zipped else ''}"
        text = json.dumps(log(shift)).encode()
        files[name].write_bytes(gzip.compress(text) if zipped else text)
    code, out, err = command(capsys, "rescore", files["log"], "--oracle", files["oracle"], "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert document["log"] == str(files["log"])
    found = {f"{m['split']}/{m['name']}": m for m in document["measures"]}
    mean = sum(math.exp(-loss) for loss in LOSSES.values()) / 3
    for split in ("forget", "retain"):
        assert (found[f"{split}/probability"]["value"], found[f"{split}/probability"]["count"]) == (
            pytest.approx(mean),
            3,
        )
        assert found[f"{split}/rouge_l_recall"]["value"] == 0.5
    option = [math.exp(-x) / (math.exp(-x) + math.exp(-2.0) + math.exp(-4.0)) for x in LOSSES.values()]
    assert found["real_authors/option_probability"]["value"] == pytest.approx(sum(option) / 3)
    assert 0 < found["forget/forget_quality"]["value"] <= 1
    alone = json.loads(command(capsys, "rescore", files["log"], "--json")[1])["measures"]
    quality = next(m for m in alone if m["name"] == "forget_quality")
    assert quality["value"] is None and quality["reason"]


def test_the_table_shows_what_was_computed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "log.json").write_text(json.dumps(log()))
    code, out, _ = command(capsys, "rescore", tmp_path / "log.json")
    row = next(line.split() for line in out.splitlines() if line.split()[:2] == ["retain", "rouge_l_recall"])
    assert (code, row[2]) == (0, "0.5")
