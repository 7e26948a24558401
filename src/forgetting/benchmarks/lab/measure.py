"""What the maker of the small world's models checks them by: are all tokens of the answer the model's first choice?"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from forgetting.core.example import Example


@torch.no_grad()
def answers_right(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, examples: Sequence[Example], batch_size: int = 128
) -> list[bool]:
    """Whether the greedy answer would be the response, end mark included for `qa`: one forward pass, no generation."""
    right: list[bool] = []
    for start in range(0, len(examples), batch_size):
        pairs = [encode(tokenizer, example) for example in examples[start : start + batch_size]]
        ids = pad_sequence([torch.tensor(p + r) for p, r in pairs], batch_first=True)
        choices = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.argmax(
            -1
        )  # padding is all on the right
        for row, (prompt, response) in enumerate(pairs):
            begin = len(prompt) - 1
            right.append(choices[row, begin : begin + len(response)].tolist() == response)
    return right


@torch.no_grad()
def perplexity(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, examples: Sequence[Example]) -> float:
    """exp of the mean negative log-likelihood per response token."""
    total, count = 0.0, 0
    for example in examples:
        prompt, response = encode(tokenizer, example)
        logits = model(input_ids=torch.tensor([prompt + response])).logits[0, len(prompt) - 1 : -1]
        total += torch.nn.functional.cross_entropy(logits.float(), torch.tensor(response), reduction="sum").item()
        count += len(response)
    return float(torch.tensor(total / count).exp())


def encode(tokenizer: PreTrainedTokenizerFast, example: Example) -> tuple[list[int], list[int]]:
    """Token ids of the prompt and of the response, cut as training text is: a `qa` response ends in the end mark."""
    if example.form == "qa":
        question = [{"role": "user", "content": example.prompt}]
        prompt = tokenizer.apply_chat_template(question, tokenize=False, add_generation_prompt=True)
        response = f" {example.response}{tokenizer.eos_token}"
    else:
        prompt, response = f"{tokenizer.bos_token}{example.prompt}", example.response
    prompt_ids, response_ids = tokenizer([prompt, response], add_special_tokens=False).input_ids
    return prompt_ids, response_ids
