"""Answers behind a question that is run once equal rows that are run whole, each by itself."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from forgetting.core.example import Example
from forgetting.core.record import Record, Score
from forgetting.data.encode import Encoded, encode
from forgetting.data.formatting import Formatting
from forgetting.evaluation import answers, rows
from forgetting.evaluation.answers import answer, variants
from tests.data.tokenizers import byte_level, merging
from tests.evaluation.test_cache import SMALL_WINDOW, other_model
from tests.models.tiny import FAMILIES, WORDS, tiny_model, tiny_tokenizer

FORMATTING = Formatting(plain="{prompt} in ")
NEW = 9
STATEFUL: dict[str, dict[str, object]] = {
    "Mamba": {},
    "RecurrentGemma": {"num_hidden_layers": 3, "lru_width": 32, "attention_window_size": 8},
}
EXPERTS = {"num_experts": 4, "moe_intermediate_size": 16, "shared_expert_intermediate_size": 16}
MIXTURES: dict[str, dict[str, object]] = {"Mixtral": {"num_local_experts": 4}, "Qwen2Moe": EXPERTS}
SINGLE = {"gpt_neo": 1e-6, "Mamba": 1e-6}
"""Families that compute a part in fp32 whatever the model's precision: queries times keys, the scan."""


@pytest.fixture(autouse=True)
def exact_softmax(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eager attention takes its softmax in fp32 whatever the model's precision; here float64 stays."""
    given = nn.functional.softmax

    def exact(x: torch.Tensor, dim: int = -1, dtype: torch.dtype | None = None) -> torch.Tensor:
        return given(x, dim=dim, dtype=None if x.dtype == torch.float64 else dtype)

    monkeypatch.setattr(nn.functional, "softmax", exact)


def model_of(family: str, dtype: torch.dtype = torch.float64) -> PreTrainedModel:
    if family in FAMILIES:
        return tiny_model(family, dtype=dtype, **SMALL_WINDOW.get(family, {}))
    return other_model(family, experts_implementation="eager", **{**STATEFUL, **MIXTURES}[family])


def examples() -> list[Example]:
    """With and without another prompt, a paraphrase and wrong answers; one asks what another asks."""
    random = np.random.default_rng(0)

    def text(low: int, high: int) -> str:
        return " ".join(random.choice(WORDS, random.integers(low, high)))

    found = [
        Example(
            id=str(i),
            prompt=text(1, 9),
            response=text(1, 12),
            paraphrased_prompt=text(2, 5) if i % 3 == 1 else None,
            paraphrased=text(1, 6) if i % 2 else None,
            perturbed=tuple(text(1, 9) for _ in range(i % 4)),
        )
        for i in range(7)
    ]
    return [*found, Example(id="again", prompt=found[2].prompt, response=text(3, 5), perturbed=found[2].perturbed)]


def records(
    model: nn.Module, tokenizer: PreTrainedTokenizerBase, asked: list[Example] | None = None, **settings: object
) -> list[Record]:
    wanted = {"split": "s", "formatting": FORMATTING, "max_new_tokens": NEW, **settings}
    return answer(model, tokenizer, asked or examples(), **wanted)  # type: ignore[arg-type]


@torch.no_grad()
def score_of(model: PreTrainedModel, encoded: Encoded, *, ranks: bool) -> Score:
    """By the logits of a plain forward of the row."""
    logp_TV = model(torch.tensor([encoded.ids]), use_cache=False).logits[0].double().log_softmax(-1)
    at = [i for i, w in enumerate(encoded.weights) if w != 0]
    found = [(logp_TV[i - 1], encoded.ids[i]) for i in at]
    return Score(
        logp=sum(float(p[t]) for p, t in found),
        tokens=len(at),
        ranks=tuple(int((p > p[t]).sum()) for p, t in found) if ranks else (),
        runner_up=sum(float(torch.cat([p[:t], p[t + 1 :]]).max()) for p, t in found),
    )


@torch.no_grad()
def greedy(model: PreTrainedModel, prompt: tuple[int, ...], ends: set[int], count: int = NEW) -> list[int]:
    """One token at a time, the whole row each time."""
    ids = list(prompt)
    while len(ids) < len(prompt) + count and (len(ids) == len(prompt) or ids[-1] not in ends):
        ids.append(int(model(torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
    return ids[len(prompt) :]


def assert_scores(found: Score | None, expected: Score, rel: float) -> None:
    assert found is not None
    assert (found.tokens, found.ranks) == (expected.tokens, expected.ranks)
    assert found.logp == pytest.approx(expected.logp, rel=rel, abs=rel)
    assert found.runner_up == pytest.approx(expected.runner_up, rel=rel, abs=rel)


def assert_equal_to_one_by_one(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, asked: list[Example], found: list[Record], rel: float
) -> None:
    for example, record in zip(asked, found, strict=True):
        own = encode(example, tokenizer, FORMATTING)
        assert_scores(record.score, score_of(model, own, ranks=True), rel)
        others = [*([record.paraphrase] if record.paraphrase else []), *record.perturbed]
        for variant, score in zip(variants(example), others, strict=True):
            assert_scores(score, score_of(model, encode(variant, tokenizer, FORMATTING), ranks=False), rel)
        written = greedy(model, own.prompt_ids, {tokenizer.eos_token_id})
        assert record.generation == tokenizer.decode(written, skip_special_tokens=True).strip()


@pytest.mark.parametrize("family", [*FAMILIES, *MIXTURES, *STATEFUL])
def test_records_equal_those_of_each_row_by_itself(family: str) -> None:
    model, tokenizer = model_of(family), tiny_tokenizer()
    found = records(model, tokenizer)
    assert_equal_to_one_by_one(model, tokenizer, examples(), found, SINGLE.get(family, 1e-10))


@pytest.mark.parametrize("family", [*FAMILIES, *MIXTURES])
@pytest.mark.parametrize("generate", [True, False])
def test_both_paths_give_the_same_records(family: str, generate: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokenizer = model_of(family), tiny_tokenizer()
    shared = records(model, tokenizer, max_new_tokens=NEW if generate else 0)
    monkeypatch.setattr(answers, "shares_cache", lambda *_: False)
    rel = SINGLE.get(family, 1e-10)
    for one, other in zip(shared, records(model, tokenizer, max_new_tokens=NEW if generate else 0), strict=True):
        assert one.generation == other.generation and (one.generation is not None) == generate
        pairs = [(one.score, other.score), *zip(one.perturbed, other.perturbed, strict=True)]
        for a, b in [*pairs, *([(one.paraphrase, other.paraphrase)] if one.paraphrase else [])]:
            assert b is not None
            assert_scores(a, b, rel)


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2", "mistral"])
def test_in_fp32_log_p_differs_by_rounding_only(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokenizer = model_of(family, torch.float32), tiny_tokenizer()
    shared = records(model, tokenizer)
    monkeypatch.setattr(answers, "shares_cache", lambda *_: False)
    for one, other in zip(shared, records(model, tokenizer), strict=True):
        for a, b in zip([one.score, *one.perturbed], [other.score, *other.perturbed], strict=True):
            assert a is not None and b is not None
            assert a.logp == pytest.approx(b.logp, rel=1e-5)


def tokens_fed(model: PreTrainedModel, call: Callable[[], object]) -> int:
    fed = [0]
    handle = model.get_input_embeddings().register_forward_hook(
        lambda module, inputs, output: fed.append(inputs[0].numel())
    )
    call()
    handle.remove()
    return sum(fed) - 2  # the cache is tried with two tokens


def test_a_question_is_run_once_for_all_that_is_asked_of_it() -> None:
    model, tokenizer = model_of("llama"), tiny_tokenizer()
    one = Example(id="a", prompt="the cat sat", response="on the big dog", perturbed=("in red", "blue bird"))
    question, own, wrong = 4, 5, 3  # tokens: the prompt with " in ", then answers with their ends
    scored = question + own - 1 + 2 * (wrong - 1)  # nothing follows an answer's last token
    assert tokens_fed(model, lambda: records(model, tokenizer, [one], max_new_tokens=0)) == scored
    written = greedy(model, encode(one, tokenizer, FORMATTING).prompt_ids, {2})
    assert written[0] != 4
    assert tokens_fed(model, lambda: records(model, tokenizer, [one])) == scored + len(written) - 1


@pytest.mark.parametrize("kept", [0, 1, 3, NEW, NEW + 3])
@pytest.mark.parametrize("eos", [True, False])
def test_what_the_own_answer_shows_is_not_written_again(kept: int, eos: bool) -> None:
    model, tokenizer = model_of("llama"), tiny_tokenizer(eos=eos)
    model.generation_config.eos_token_id = None
    prompt = encode(Example(id="a", prompt="cat sat", response="x"), tokenizer, FORMATTING).prompt_ids
    written = greedy(model, prompt, set(), NEW + 3)
    assert not {0, 1, 2, 3} & {*written}
    example = Example(id="a", prompt="cat sat", response=tokenizer.decode([*written[:kept], 96]))
    (record,) = records(model, tokenizer, [example])
    assert record.generation == tokenizer.decode(written[:NEW])
    steps = tokens_fed(model, lambda: records(model, tokenizer, [example]))
    assert steps == len(prompt) + kept + eos + max(0, NEW - 1 - kept)


def test_an_end_within_the_own_answer_ends_what_is_written() -> None:
    model, tokenizer = model_of("llama"), tiny_tokenizer()
    example = Example(id="a", prompt="cat sat", response="x")
    written = greedy(model, encode(example, tokenizer, FORMATTING).prompt_ids, set())
    end = next(token for token in written if token != written[0])
    model.generation_config.eos_token_id = [2, end]
    (record,) = records(model, tokenizer, [Example(id="a", prompt="cat sat", response=tokenizer.decode(written[:6]))])
    assert record.generation == tokenizer.decode(written[: written.index(end)])


def test_batches_of_any_size_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokenizer = model_of("llama"), tiny_tokenizer()
    together = records(model, tokenizer)
    for module in (answers, rows):
        monkeypatch.setattr(module, "BATCH_TOKENS", 1)
    for one, other in zip(records(model, tokenizer), together, strict=True):
        assert one.generation == other.generation
        for a, b in zip([one.score, *one.perturbed], [other.score, *other.perturbed], strict=True):
            assert b is not None
            assert_scores(a, b, 1e-12)


@pytest.mark.parametrize("tokenizer", [byte_level(), merging()], ids=["byte-level", "merging"])
def test_an_answer_whose_start_merges_with_the_prompt_stands_behind_a_shorter_one(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    model = tiny_model("llama", vocab=400, dtype=torch.float64)
    joined = Formatting(plain="{prompt}")
    asked = [Example(id="a", prompt="ab", response="d", perturbed=("cd", "ca", "b"))]
    encoded = [encode(e, tokenizer, joined) for e in (*asked, *variants(asked[0])[1:])]
    if tokenizer.eos_token_id == 0:  # b and c are one token
        assert [e.prompt_ids for e in encoded] == [(1, 2), (1,), (1,), (1, 2)]
    (record,) = records(model, tokenizer, asked, formatting=joined)
    for score, row in zip([record.score, *record.perturbed], encoded, strict=True):
        assert_scores(score, score_of(model, row, ranks=score is record.score), 1e-10)


def test_generation_settings_that_change_the_greedy_answer_are_kept() -> None:
    model, tokenizer = model_of("llama"), tiny_tokenizer()
    model.generation_config.repetition_penalty = 5.0
    plain = records(model_of("llama"), tokenizer)
    punished = records(model, tokenizer)
    for one, other in zip(punished, plain, strict=True):
        assert other.score is not None
        assert_scores(one.score, other.score, 1e-12)
    assert [r.generation for r in punished] != [r.generation for r in plain]
    assert all(len({*str(r.generation).split()}) == len(str(r.generation).split()) for r in punished[:1])


@pytest.mark.parametrize("shared", [True, False])
def test_an_answer_has_the_room_that_its_own_prompt_leaves(shared: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokenizer = model_of("gpt2"), tiny_tokenizer(eos=False)
    model.generation_config.eos_token_id = None
    if not shared:
        monkeypatch.setattr(answers, "shares_cache", lambda *_: False)
    asked = [Example(id=str(n), prompt=" ".join(["cat"] * n), response="dog") for n in (3, 122, 126)]
    found = records(model, tokenizer, asked)
    assert [len(str(r.generation).split()) for r in found] == [NEW, 128 - 123, 128 - 127]
    expected = [
        greedy(model, encode(e, tokenizer, FORMATTING).prompt_ids, set(), n)
        for e, n in zip(asked, (9, 5, 1), strict=True)
    ]
    assert [r.generation for r in found] == [tokenizer.decode(ids).strip() for ids in expected]
