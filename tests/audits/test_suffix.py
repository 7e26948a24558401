"""A suffix that is searched with the model's weights in hand."""

from __future__ import annotations

import random

import pytest
import torch

from forgetting.audits import ATTACKS, Target
from forgetting.audits.suffix_search import Search, _losses, _scores, search_suffix, usable_tokens, with_suffix
from forgetting.core.errors import RecipeError
from forgetting.core.example import Example
from forgetting.data.encode import encode
from forgetting.data.formatting import Formatting
from forgetting.models.unchanged import Snapshot
from tests.models.tiny import WORDS, tiny_model, tiny_tokenizer

FACTS = [Example(id=f"f{i}", prompt=f"{WORDS[i]} {WORDS[i + 1]}", response=WORDS[i + 2]) for i in range(8)]
FEW = {"facts": 3, "steps": 3, "length": 3, "width": 24, "top": 12}


def target(**changed: object) -> Target:
    given = {"model": tiny_model("llama"), "tokenizer": tiny_tokenizer(), "split": "forget", "examples": FACTS}
    return Target(**{**given, "max_new_tokens": 3, **changed})  # type: ignore[arg-type]


def p(records: list) -> dict[str, float]:
    return {r.id: r.score.probability for r in records}


@pytest.mark.parametrize("family", ["llama", "gemma3", "gpt2", "gpt_neox"])
def test_the_gradient_is_that_of_the_loss_with_respect_to_each_token(family: str) -> None:
    """By central differences: the embeddings of one place are moved towards a token's."""
    model = tiny_model(family).double()
    row = encode(with_suffix(FACTS[0], "the big dog"), tiny_tokenizer(), Formatting())
    first, embedding, step = 2, model.get_input_embeddings(), 1e-3
    scores_LV = _scores(model, row, first, first + 3)
    for place, token in ((0, 7), (2, 30)):

        def moved(sign: float, place: int = place, token: int = token) -> float:
            def move(module: torch.nn.Module, args: object, output: torch.Tensor) -> torch.Tensor:
                output = output.clone()
                output[0, first + place] += sign * step * towards
                return output

            with torch.no_grad():
                towards = embedding(torch.tensor([token]))[0]
            handle = embedding.register_forward_hook(move)
            found = float(_losses(model, [row])[0])
            handle.remove()
            return found

        slope = (moved(1) - moved(-1)) / (2 * step)
        assert float(-scores_LV[place, token]) == pytest.approx(slope, rel=1e-2, abs=2e-3)


def test_the_search_lowers_the_loss_and_its_suffix_reads_as_it_was_tried() -> None:
    of = target()
    search = Search(steps=8, length=4, width=24, top=16)
    usable_U = usable_tokens(of.tokenizer)
    lower = 0
    for example in FACTS[:3]:
        given = (of.model, of.tokenizer, example)
        suffix, loss = search_suffix(*given, search, usable_U, formatting=Formatting(), seed=1)
        start, none = search_suffix(
            *given, Search(steps=0, length=4, width=1, top=1), usable_U, formatting=Formatting(), seed=1
        )
        read = encode(with_suffix(example, suffix), of.tokenizer, Formatting())
        assert float(_losses(of.model, [read])[0]) == pytest.approx(loss, rel=1e-5)
        assert loss <= none and (suffix != start or loss == none)
        lower += loss < 0.7 * none
    assert lower >= 2


def test_facts_are_drawn_by_the_seed_and_answers_are_likelier_and_the_model_stays_as_it_was() -> None:
    of = target(seed=5)
    before, drawn = Snapshot.of(of.model), random.getstate()
    records = list(ATTACKS.build("suffix", FEW)(of))
    assert before.changed(of.model) is None and random.getstate() == drawn
    assert len(records) == 3 and [r.id for r in records] == sorted(r.id for r in records)
    assert {r.id for r in records} != {r.id for r in ATTACKS.build("suffix", FEW)(target(seed=6))}
    greedy = p(list(ATTACKS.build("greedy")(of)))
    assert sum(p(records)[id] > greedy[id] for id in p(records)) >= 2
    asked = {e.id: e.prompt for e in FACTS}
    assert all(r.prompt.startswith(f"{asked[r.id]} ") and r.generation is not None for r in records)
    assert records == list(ATTACKS.build("suffix", FEW)(target(seed=5)))


def test_a_document_gets_its_suffix_behind_its_beginning() -> None:
    text = Example(id="d", form="text", response="the big dog runs over a red bird and the big dog")
    (record,) = ATTACKS.build("suffix", FEW)(target(examples=[text]))
    assert record.prompt.startswith("the big dog") and record.score is not None


@pytest.mark.parametrize("name", list(FEW))
def test_bad_parameters_are_one_line(name: str) -> None:
    with pytest.raises(RecipeError, match=f"{name} is 0; write a whole number") as told:
        ATTACKS.build("suffix", {name: 0})
    assert "\n" not in str(told.value)
