"""Perplexity of plain text, each passage by itself, without an end token."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from forgetting.benchmarks.registry import get_suite
from forgetting.benchmarks.text import text_variant
from forgetting.core.errors import DataError, ForgettingError
from forgetting.data.formatting import Formatting
from forgetting.evaluation.answers import answer
from forgetting.metrics.score import score
from tests.golden import REAL_DATA, needs
from tests.models.tiny import WORDS, tiny_model, tiny_tokenizer

WIKITEXT = REAL_DATA / "text" / "wikitext.jsonl.gz"


def written(folder: Path, lengths: list[int]) -> Path:
    file = folder / "wiki.valid.jsonl"
    texts = [" ".join(WORDS[(i * k) % len(WORDS)] for i in range(1, n + 1)) for k, n in enumerate(lengths, 1)]
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return file


def test_perplexity_is_that_of_all_tokens_but_each_passages_first(tmp_path: Path) -> None:
    file, model, tokenizer = written(tmp_path, [7, 12]), tiny_model("llama", dtype=torch.float64), tiny_tokenizer()
    suite = text_variant(str(file), False)
    (split,) = suite.splits
    assert (split.name, split.generate) == ("wiki", False)
    records = answer(model, tokenizer, split.examples, split="wiki", formatting=Formatting(), max_new_tokens=0)
    (found,) = score(suite.metrics, records)
    losses: list[float] = []
    for example in split.examples:
        ids = torch.tensor([tokenizer(example.response)["input_ids"]])
        with torch.no_grad():
            logp = model(ids).logits[0].log_softmax(-1)
        losses += [-float(logp[t - 1, ids[0, t]]) for t in range(1, ids.shape[1])]
    assert len(losses) == 6 + 11
    assert found.key == "wiki/perplexity" and found.direction == "down"
    assert found.value == pytest.approx(math.exp(sum(losses) / len(losses)), rel=1e-6)


def test_a_limit_and_fast_take_the_first_passages(tmp_path: Path) -> None:
    file = written(tmp_path, list(range(3, 83)))
    sizes = [
        len(text_variant(v, fast).splits[0].examples) for v in (str(file), f"{file},limit=70") for fast in (False, True)
    ]
    assert sizes == [80, 64, 70, 64]
    assert len(text_variant(f"{file},limit=5", True).splits[0].examples) == 5


def test_token_ids_are_text_too(tmp_path: Path) -> None:
    np.save(tmp_path / "p.npy", np.arange(3, 13).reshape(2, 5))
    np.save(tmp_path / "s.npy", np.arange(13, 23).reshape(2, 5))
    (split,) = get_suite(f"text:{tmp_path / 'p.npy'}+{tmp_path / 's.npy'}").splits
    (first, _) = answer(
        tiny_model("llama"), tiny_tokenizer(), split.examples, split="p", formatting=Formatting(), max_new_tokens=0
    )
    assert split.name == "p" and first.score is not None and first.score.tokens == 9
    assert first.answer.strip() == tiny_tokenizer().decode(
        [3, 4, 5, 6, 7, 13, 14, 15, 16, 17], skip_special_tokens=True
    )


def test_a_hub_dataset_is_a_split_named_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets, "load_dataset", lambda *args, **keys: [{"page": "a b c"}])
    (split,) = get_suite("text:hub:org/wiki/raw/validation").splits
    assert (split.name, split.examples[0].response) == ("wiki", "a b c")


@pytest.mark.parametrize(
    "variant", ["", ",limit=3", "f.jsonl,limit=x", "f.jsonl,limt=3", "f.jsonl", "f.jsonl,limit=1,x"]
)
def test_a_variant_that_names_no_text_is_one_line(variant: str) -> None:
    with pytest.raises(ForgettingError) as found:
        text_variant(variant, False)
    assert "\n" not in str(found.value)


def test_questions_are_no_plain_text(tmp_path: Path) -> None:
    (tmp_path / "qa.jsonl").write_text('{"question": "q", "title": "a"}\n')
    with pytest.raises(DataError, match="no column for the text"):
        text_variant(str(tmp_path / "qa.jsonl"), False)


@needs(WIKITEXT)
def test_the_real_wikitext_is_500_passages() -> None:
    assert [(s.name, len(s.examples)) for s in get_suite(f"text:{WIKITEXT}").splits] == [("wikitext", 500)]
