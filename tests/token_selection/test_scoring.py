"""Every supervised token is scored under base and reference, once, in parts that survive a kill."""

from __future__ import annotations

import copy
import json
import math
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from forgetting.core.errors import ModelError, RunError
from forgetting.data.encode import Encoded
from forgetting.models.adapters import AdapterSpec, attach
from forgetting.token_selection import scoring
from forgetting.token_selection.scoring import (
    ModelView,
    Scorers,
    Scores,
    rows_fingerprint,
    score_tokens,
    tokenizer_fingerprint,
)
from tests.models.adapters.stages import stir
from tests.models.tiny import tiny_model, tiny_tokenizer
from tests.training.making import examples


def two_stages() -> nn.Module:
    """A model whose first adapter belongs to the base and whose second is the reference, both with non-zero B."""
    model = tiny_model("llama", head_scale=0.3)
    for seed, name in enumerate(("before", "reference")):
        model = attach(model, AdapterSpec(rank=2, targets="all", dropout=0.3), name=name, seed=seed)
        stir(model, learning_rate=0.02)
    return model


def scored(rows: Any, folder: Path, model: nn.Module | None = None, **more: Any) -> Scores:
    model = two_stages() if model is None else model
    views = {"base": ModelView(model, ("before",)), "reference": ModelView(model, ("before", "reference"))}
    asked = {"tokenizer": tiny_tokenizer(), **views, "window": 8, **more}
    scorers = Scorers(*(asked.pop(name) for name in ("base", "reference", "tokenizer")))
    return score_tokens(rows, folder, scorers, **asked)


def by_hand(model: nn.Module, encoded: Encoded) -> list[float]:
    """Whole logits of one row in float64."""
    logits = model(input_ids=torch.tensor([encoded.ids])).logits[0]
    assert logits.dtype == torch.float64
    logps = logits.detach().log_softmax(-1)
    return [float(logps[t - 1, i]) for t, (i, w) in enumerate(zip(encoded.ids, encoded.weights, strict=True)) if w != 0]


def begun(model: nn.Module) -> dict[str, Any]:
    return {
        "model": ModelView(model, ("before",)).fingerprint(),
        "reference": ModelView(model, ("before", "reference")).fingerprint(),
        "tokenizer": tokenizer_fingerprint(tiny_tokenizer()),
        "seconds": 1.0,
    }


def files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.name.startswith("part-")}


def test_scores_are_those_of_whole_logits_in_float64(tmp_path: Path) -> None:
    rows = examples(21, signed=True)
    rows[4] = replace(rows[4], weights=(0.0, 0.0, -0.5, *[0.0] * (len(rows[4].ids) - 3)))
    rows[9] = replace(rows[9], weights=(0.0,) * len(rows[9].ids))  # nothing to score
    model = two_stages().train()
    scores = scored(rows, tmp_path, model, batch_tokens=40)
    assert model.training
    exact = copy.deepcopy(model).double().eval()
    for layer in exact.modules():
        if hasattr(layer, "_active_adapter"):
            layer._active_adapter = ["before"]
    base = [by_hand(exact, row) for row in rows]
    for layer in exact.modules():
        if hasattr(layer, "_active_adapter"):
            layer._active_adapter = ["before", "reference"]
    reference = [by_hand(exact, row) for row in rows]
    assert [row.key for row in scores] == [row.key for row in rows]
    for found, row, b, r in zip(scores, rows, base, reference, strict=True):
        assert found.target_ids.dtype == np.int32 and found.quality.dtype == np.float32
        assert tuple(found.target_ids.tolist()) == row.target_ids
        np.testing.assert_allclose(found.base_logp_N, b, rtol=1e-5, atol=2e-5)
        np.testing.assert_allclose(found.reference_logp_N, r, rtol=1e-5, atol=2e-5)
        np.testing.assert_allclose(found.quality, np.subtract(r, b), rtol=1e-4, atol=5e-5)
    assert scores.rows == 21 and scores.tokens == sum(row.supervised for row in rows)
    assert max(abs(row.quality).max(initial=0) for row in scores) > 0.1


def test_a_reference_may_be_a_model_of_its_own(tmp_path: Path) -> None:
    plain, other, rows = tiny_model("llama"), tiny_model("gpt2", seed=4), examples(5)
    scores = scored(rows, tmp_path, base=ModelView(plain), reference=ModelView(other))
    expected = [by_hand(other.double(), row) for row in rows]
    np.testing.assert_allclose(
        np.concatenate([r.reference_logp_N for r in scores]), np.concatenate(expected), atol=2e-5
    )


def test_forwards_are_bounded_by_padded_tokens_and_two_for_each_row(tmp_path: Path) -> None:
    model, shapes = two_stages(), []
    inner = model.get_base_model().model
    inner.register_forward_pre_hook(lambda m, a, kw: shapes.append(tuple(kw["input_ids"].shape)), with_kwargs=True)
    scored(examples(40, longest=30), tmp_path, model, window=40, batch_tokens=64)
    assert all(rows * width <= 64 for rows, width in shapes) and sum(rows for rows, _ in shapes) == 80
    assert shapes[: len(shapes) // 2] == shapes[len(shapes) // 2 :]
    real = 2 * sum(len(e.ids) for e in examples(40, longest=30))
    assert real / sum(rows * width for rows, width in shapes) > 0.9  # sorted by length, little is padding
    shapes.clear()
    scored(examples(3), tmp_path / "alone", model, batch_tokens=1)
    assert [rows for rows, _ in shapes] == [1] * 6


def test_the_folder_is_plain_parquet_and_a_file_that_says_whose_scores_they_are(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    rows, model, tokenizer = examples(20), two_stages(), tiny_tokenizer()
    scored(rows, tmp_path, model)
    names = [f"part-00000{i}.parquet" for i in range(3)]
    assert sorted(f.name for f in tmp_path.iterdir()) == [*names, "scores.json"]
    table = pq.ParquetFile(tmp_path / names[0]).read()
    kinds = {name: table.column(name).type for name in table.column_names}
    assert str(kinds.pop("key")) == "string"
    assert {name: str(kind.value_type) for name, kind in kinds.items()} == {
        "target_ids": "int32",
        "base_logp": "float",
        "reference_logp": "float",
    }
    assert table.column("target_ids").to_pylist() == [list(row.target_ids) for row in rows[:8]]
    said = json.loads((tmp_path / "scores.json").read_text())
    assert said.pop("seconds") > 0
    assert said == {
        "format": 1,
        "model": ModelView(model, ("before",)).fingerprint(),
        "reference": ModelView(model, ("before", "reference")).fingerprint(),
        "tokenizer": tokenizer_fingerprint(tokenizer),
        "data": rows_fingerprint(rows),
        "rows": 20,
        "tokens": sum(e.supervised for e in rows),
    }


class KilledError(Exception):
    pass


@pytest.mark.parametrize("done", [0, 1, 2])
def test_killed_after_a_part_and_started_again_it_ends_with_the_same_bytes(
    done: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, model, forwards = examples(20), two_stages(), []
    scored(rows, tmp_path / "whole", model)
    writing = scoring.write_part

    def kill(file: Path, *given: Any) -> None:
        if file.name == f"part-00000{done}.parquet":
            (file.parent / f".{file.name}.1.partial").write_bytes(b"PAR1half")
            raise KilledError
        writing(file, *given)

    with monkeypatch.context() as patch, pytest.raises(KilledError):
        patch.setattr(scoring, "write_part", kill)
        scored(rows, tmp_path / "killed", model)
    with pytest.raises(RunError, match="not finished; score again" if done else "do not exist; score first"):
        Scores(tmp_path / "killed")
    model.get_base_model().model.register_forward_hook(lambda *a: forwards.append(1))
    scores = scored(rows, tmp_path / "killed", model)
    assert len(forwards) == 2 * (3 - done)
    assert files(tmp_path / "killed") == files(tmp_path / "whole")
    assert sorted(f.name for f in (tmp_path / "killed").iterdir()) == [
        *sorted(files(tmp_path / "whole")),
        "scores.json",
    ]
    assert {k: v for k, v in scores.meta.items() if k != "seconds"} == {
        k: v for k, v in Scores(tmp_path / "whole").meta.items() if k != "seconds"
    }


def test_finished_scores_are_found_again_without_a_forward(tmp_path: Path) -> None:
    rows, model = examples(20), two_stages()
    first = scored(rows, tmp_path, model)
    model.get_base_model().model.register_forward_hook(lambda *a: pytest.fail("a forward"))
    again = scored(rows, tmp_path, model)
    assert again.meta == first.meta


def test_a_part_that_cannot_be_read_is_computed_again(tmp_path: Path) -> None:
    rows, model = examples(20), two_stages()
    scored(rows, tmp_path, model)
    before = files(tmp_path)
    (tmp_path / "part-000001.parquet").write_bytes(before["part-000001.parquet"][:50])
    (tmp_path / "scores.json").unlink()
    (tmp_path / "unfinished.json").write_text(json.dumps(begun(model)))
    scored(rows, tmp_path, model)
    assert files(tmp_path) == before


@pytest.mark.parametrize("change", ["an order", "a prompt", "what is scored", "fewer rows"])
def test_a_folder_with_scores_of_other_rows_is_left_alone(change: str, tmp_path: Path) -> None:
    rows, model = examples(24), two_stages()
    scored(rows, tmp_path, model)
    before = files(tmp_path)
    if change == "an order":
        rows[9], rows[10] = rows[10], rows[9]
    elif change == "a prompt":
        rows[9] = replace(rows[9], ids=(rows[9].ids[0] + 1, *rows[9].ids[1:]))
    elif change == "what is scored":
        rows[9] = replace(rows[9], weights=(*rows[9].weights[:-1], 0.0))
    else:
        rows = rows[:16]
    with pytest.raises(RunError, match=r"part-00000[12].parquet: .*(of other rows|of more rows)"):
        scored(rows, tmp_path, model)
    assert files(tmp_path) == before


def test_size_and_sign_of_weights_do_not_matter(tmp_path: Path) -> None:
    rows, model = examples(10), two_stages()
    first = scored(rows, tmp_path, model)
    signed = [replace(row, weights=tuple(-2.5 * w for w in row.weights)) for row in rows]
    assert rows_fingerprint(rows) == rows_fingerprint(signed) == first.meta["data"]
    assert scored(signed, tmp_path, model).meta == first.meta


def test_a_folder_of_another_reference_is_left_alone(tmp_path: Path) -> None:
    rows, model = examples(10), two_stages()
    scored(rows, tmp_path, model)
    with pytest.raises(RunError, match=r"scores of another reference \([0-9a-f]{16} there, [0-9a-f]{16} here\)"):
        scored(rows, tmp_path, model, reference=ModelView(model, ("reference",)))
    (tmp_path / "scores.json").unlink()
    with pytest.raises(RunError, match="holds score parts of an unknown model"):
        scored(rows, tmp_path, model)


def test_begun_scores_are_not_gone_on_with_by_another_model(tmp_path: Path) -> None:
    model = two_stages()
    (tmp_path / "unfinished.json").write_text(json.dumps(begun(model) | {"model": "0" * 16}))
    with pytest.raises(RunError, match="another model \\(0000000000000000 there"):
        scored(examples(10), tmp_path, model)


def test_no_more_than_a_window_of_rows_is_alive(tmp_path: Path) -> None:
    class Watched(Encoded):
        """Can be referred to weakly."""

    alive: weakref.WeakSet[Watched] = weakref.WeakSet()
    most = 0

    def stream() -> Iterator[Encoded]:
        nonlocal most
        for encoded in examples(100):
            row = Watched(encoded.key, encoded.ids, encoded.weights)
            alive.add(row)
            most = max(most, len(alive))
            yield row
            del row

    scores = scored(stream(), tmp_path)
    assert scores.rows == 100 and 8 <= most <= 9
    assert not alive


def test_progress_counts_rows_and_never_goes_back(tmp_path: Path) -> None:
    said: list[tuple[int, str]] = []
    scored(examples(20), tmp_path, batch_tokens=24, progress=lambda *given: said.append(given))
    done = [d for d, _ in said]
    assert done == sorted(done) and done[-1] == 20 and len(set(done)) > 10
    tokens = sum(e.supervised for e in examples(20))
    assert said[-1][1] == f"{tokens} tokens" and said[0][1] == "scoring"


def test_a_log_p_that_is_not_finite_names_its_row_and_nothing_is_written(tmp_path: Path) -> None:
    model = tiny_model("llama")
    rows = examples(6)
    rows[3] = Encoded("bad", (5, 6, 96, 7), (0.0, 1.0, 1.0, 1.0))
    rows = [replace(r, ids=tuple(min(i, 90) for i in r.ids)) if r.key != "bad" else r for r in rows]
    with torch.no_grad():
        model.model.embed_tokens.weight[96] = math.nan
        model.lm_head.weight = nn.Parameter(model.lm_head.weight.nan_to_num())
    with pytest.raises(ModelError, match="row 'bad': log p of its answer token 1 is not finite"):
        scored(rows, tmp_path, base=ModelView(model), reference=ModelView(model))
    assert not files(tmp_path)


def test_no_rows_are_no_scores(tmp_path: Path) -> None:
    scores = scored([], tmp_path)
    assert scores.rows == scores.tokens == 0 and list(scores) == []


def test_a_disk_that_refuses_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(RunError, match="cannot be written"):
        scored(examples(2), tmp_path / "taken" / "scores")


def test_tokenizers_are_told_apart_by_vocabulary_and_template() -> None:
    prints = {
        tokenizer_fingerprint(tiny_tokenizer(**keys))
        for keys in ({}, {"vocab": 98}, {"chat_template": "{{ messages }}"})
    }
    assert len(prints) == 3 and tokenizer_fingerprint(tiny_tokenizer()) in prints
