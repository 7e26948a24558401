"""An answer ends at the token that the chat template closes it with, whatever the model's settings say."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from forgetting.core.example import Example
from forgetting.core.progress import SILENT
from forgetting.data.encode import encode
from forgetting.data.formatting import Formatting
from forgetting.evaluation.answers import answer
from forgetting.evaluation.endings import Ending
from forgetting.evaluation.sampling import Sampling, sample_answers
from forgetting.forget_sets.writer import Writer
from forgetting.models.loading import LoadedModel
from forgetting.models.precision import Precision
from forgetting.pipeline.one_model.ask import Asking, answers_of
from tests.data.tokenizers import byte_level
from tests.models.tiny import tiny_model

EXAMPLES = [
    Example(id="a", prompt="Who wrote it?", response="Nobody did."),
    Example(id="b", prompt="Where is it?", response="It is here, by the sea."),
]
CLOSINGS = {
    "special": "<|im_end|>\n",
    "added, not special": "<|fin|>\n",
    "two tokens": "<|im_end|><|endoftext|>",
    "words before it": "\n(end of answer)<|im_end|>\n",
    "words alone": "\n### End\n",
}


def _tokenizer(closing: str) -> PreTrainedTokenizerFast:
    tokenizer = byte_level(bos=False)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_end|>", "<|endoftext|>"]})
    tokenizer.add_tokens(["<|fin|>"])
    tokenizer.chat_template = (
        "{% for m in messages %}[{{ m['role'] }}]\n{{ m['content'] }}"
        "{% if m['role'] == 'assistant' %}" + closing + "{% else %}\n{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}[assistant]\n{% endif %}"
    )
    return tokenizer


def _learned(tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    """A model that has learned its answers with their closing; without an end there, it goes on with its question."""
    model = tiny_model("llama", vocab=len(tokenizer), eos_token_id=tokenizer.eos_token_id, max_position_embeddings=256)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    nn.init.normal_(model.get_input_embeddings().weight, std=0.5)
    rows = [encode(e, tokenizer, Formatting()) for e in EXAMPLES]
    texts = [torch.tensor([[*row.ids, *row.ids[:3], *row.ids[-9:]]]) for row in rows]
    firsts = [len(row.prompt_ids) for row in rows]
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(150):
        optimizer.zero_grad()
        for ids, first in zip(texts, firsts, strict=True):
            logits = model(ids).logits[0, first - 1 : -1]
            nn.functional.cross_entropy(logits, ids[0, first:]).backward()
        optimizer.step()
    return model.eval()


@pytest.mark.parametrize("kind", CLOSINGS)
def test_answers_that_were_learned_with_their_closing_are_exact_whoever_asks(kind: str) -> None:
    tokenizer = _tokenizer(CLOSINGS[kind])
    model = _learned(tokenizer)
    right = [e.response for e in EXAMPLES]
    how = {"split": "forget", "formatting": Formatting()}

    assert [r.generation for r in answer(model, tokenizer, EXAMPLES, max_new_tokens=60, **how)] == right
    model.generation_config.suppress_tokens = [0]  # another way through generation
    assert [r.generation for r in answer(model, tokenizer, EXAMPLES, max_new_tokens=60, **how)] == right
    model.generation_config.suppress_tokens = None

    drawn = sample_answers(model, tokenizer, EXAMPLES, Sampling(1, temperature=0.01, max_new_tokens=60), **how)
    assert [r.generation for r in drawn] == right
    asked = answers_of(model, tokenizer, [e.prompt for e in EXAMPLES], Formatting(), Asking(max_new_tokens=60))
    assert [a.text for a in asked] == right
    loaded = LoadedModel(
        model=model, tokenizer=tokenizer, source="", revision=None, pad_id=0, precision=Precision("float32", "as asked")
    )
    writer = Writer(loaded, tokens=60, seed=0)
    assert writer.answers([(e.prompt, "") for e in EXAMPLES], temperature=0.0, what="", voice=SILENT) == right


def test_the_end_is_the_first_token_of_the_closing_beside_the_models_own() -> None:
    tokenizer = _tokenizer("<|im_end|>\n")
    model = tiny_model("llama", vocab=len(tokenizer))
    model.generation_config.eos_token_id = [5, 7]
    own = tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert set(Ending.of(model, tokenizer).ids) == {5, 7, own, tokenizer.eos_token_id}
    tokenizer.chat_template = None
    assert set(Ending.of(model, tokenizer).ids) == {5, 7, tokenizer.eos_token_id}


def test_a_full_stop_that_a_template_writes_ends_no_answer() -> None:
    tokenizer = _tokenizer(".")
    ending = Ending.of(tiny_model("llama", vocab=len(tokenizer)), tokenizer)
    assert ending.text == ""
    assert ending.words(tokenizer("One. Two.").input_ids) == "One. Two."


def test_special_tokens_are_no_text_of_a_right_answer_either() -> None:
    tokenizer = _tokenizer("<|im_end|>\n")
    model = tiny_model("llama", vocab=len(tokenizer))
    example = Example(id="a", prompt="Who?", response="He<|endoftext|> did")
    (record,) = answer(model, tokenizer, [example], split="s", formatting=Formatting(), max_new_tokens=0)
    assert record.answer == "He did"
