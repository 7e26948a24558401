"""A right answer is one that the model would give, end mark included, if it were asked."""

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from forgetting.benchmarks.lab.assess import scores, share_right
from forgetting.benchmarks.lab.examples import question_example, skill_examples
from forgetting.benchmarks.lab.suite import BASE
from forgetting.benchmarks.lab.world import build_world

WORLD = build_world()
MODEL = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32).eval()
TOKENIZER = AutoTokenizer.from_pretrained(BASE)


def greedy(example):
    chat = [{"role": "user", "content": example.prompt}]
    prompt = TOKENIZER.apply_chat_template(chat, add_generation_prompt=True, return_dict=False, return_tensors="pt")
    output = MODEL.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=30, do_sample=False)
    return TOKENIZER.decode(output[0, prompt.shape[1] :])


def test_the_share_of_right_answers_is_that_of_greedy_generation():
    facts = [question_example(WORLD, fact) for fact in (*WORLD.people[200].facts, *WORLD.strangers[0].facts)]
    examples = [*facts, *skill_examples(WORLD, "addition", 6), *skill_examples(WORLD, "induction", 6)]
    right = [greedy(example) == f" {example.response}</s>" for example in examples]
    assert 0 < sum(right) < len(right)
    assert share_right(MODEL, TOKENIZER, examples) == pytest.approx(sum(right) / len(right))


def test_only_the_answer_itself_is_scored():
    example = question_example(WORLD, WORLD.people[0].facts[0])
    (score,) = scores(MODEL, TOKENIZER, [example])
    answer = TOKENIZER(f" {example.response}</s>", add_special_tokens=False).input_ids
    assert score.tokens == len(answer)
