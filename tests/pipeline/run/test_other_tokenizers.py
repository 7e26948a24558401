"""Models that are compared token by token have the same tokens; a tokenizer with more than its model pads by others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forgetting.core.errors import ModelError
from forgetting.core.example import Example
from forgetting.core.folder import MARK
from forgetting.data.formatting import Formatting
from forgetting.evaluation.answers import answer, padding_id
from forgetting.models.loading import load_model, save_model
from forgetting.pipeline.run.select_tokens import views
from forgetting.pipeline.run.teacher import teacher_of
from forgetting.recipe import load_recipe
from tests.models.tiny import tiny_model, tiny_tokenizer


def _swapped(folder: Path) -> Path:
    """A model with as many tokens, two of which have each other's id."""
    save_model(tiny_model("llama"), tiny_tokenizer(), folder)
    file = folder / "tokenizer.json"
    said = json.loads(file.read_text())
    vocabulary = said["model"]["vocab"]
    vocabulary["cat"], vocabulary["dog"] = vocabulary["dog"], vocabulary["cat"]
    file.write_text(json.dumps(said))
    (folder / MARK).unlink()
    return folder


def test_a_reference_that_gives_the_tokens_other_ids_is_refused(tmp_path: Path) -> None:
    model, tokenizer = tiny_model("llama"), tiny_tokenizer()
    other, same = _swapped(tmp_path / "other"), tmp_path / "same"
    save_model(model, tokenizer, same)
    (stage,) = load_recipe("unlearn", ["model=m", f"stages.unlearn.reference={other}", "method=ga_kl"]).stages
    with pytest.raises(ModelError, match=r"the reference .*other has another vocabulary .the token 'cat'"):
        teacher_of(stage, model, tokenizer, None)
    (stage,) = load_recipe("unlearn", ["model=m", f"stages.unlearn.reference={same}", "method=ga_kl"]).stages
    assert teacher_of(stage, model, tokenizer, None) is not None

    with pytest.raises(ModelError, match=r"other: has another vocabulary than the model .the token 'cat'"):
        views(model, tokenizer, other).__enter__()
    with views(model, tokenizer, same) as (one, two):
        assert one.model is not two.model


def test_rows_are_padded_with_a_token_that_the_model_has(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer(pad=False)
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    save_model(tiny_model("llama"), tokenizer, tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    assert padding_id(loaded.tokenizer) == loaded.pad_id == loaded.tokenizer.eos_token_id != 97
    rows = [
        Example(id="a", prompt="the cat", response="sat on a red bird"),
        Example(id="b", prompt="a dog", response="ran"),
    ]
    how = {"split": "s", "formatting": Formatting(), "max_new_tokens": 3}
    together = answer(loaded.model, loaded.tokenizer, rows, **how)
    alone = [answer(loaded.model, loaded.tokenizer, [row], **how)[0] for row in rows]
    assert [r.generation for r in together] == [r.generation for r in alone]
    for one, other in zip(together, alone, strict=True):
        assert one.score is not None and other.score is not None
        assert one.score.logp == pytest.approx(other.score.logp, rel=1e-5)
