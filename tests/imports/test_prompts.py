"""The question in a prompt of another program, without template, shots, system prompt; or whole, and that is said."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from forgetting.core.record import Record
from forgetting.imports.prompts import asked_in, with_questions

SYSTEM = "You are terse and fact-only QA assistant. Reply to the question clearly with few-words correct answer."
ASKED = "What is the country of Baramati?"
Turn = tuple[str, str]


def llama3(turns: list[Turn], system: str) -> str:
    head = f"Cutting Knowledge Date: December 2023\nToday Date: 10 Apr 2025\n\n{system}"
    every = [("system", head), *turns, ("assistant", "")]
    text = "".join(f"<|start_header_id|>{role}<|end_header_id|>\n\n{said}<|eot_id|>" for role, said in every)
    return "<|begin_of_text|>" + text.removesuffix("<|eot_id|>")


def llama2(turns: list[Turn], system: str) -> str:
    text = f"<<SYS>>\n{system}\n<</SYS>>\n\n" if system else ""
    for role, said in turns:
        text += f"{said} [/INST]" if role == "user" else f" {said} </s><s>[INST] "
    return f"<s>[INST] {text}"


def mistral(turns: list[Turn], system: str) -> str:
    last = len(turns) - 1
    said = [f"{system}\n\n{said}" if system and n == last else said for n, (_, said) in enumerate(turns)]
    users = [role == "user" for role, _ in turns]
    return "<s>" + "".join(f"[INST] {t}[/INST]" if u else f" {t}</s>" for t, u in zip(said, users, strict=True))


def mistral_tekken(turns: list[Turn], system: str) -> str:
    return f"<s>[SYSTEM_PROMPT]{system}[/SYSTEM_PROMPT]" + mistral(turns, "").removeprefix("<s>")


def zephyr(turns: list[Turn], system: str) -> str:
    return "".join(f"<|{role}|>\n{said}</s>\n" for role, said in [("system", system), *turns]) + "<|assistant|>\n"


def phi3(turns: list[Turn], system: str) -> str:
    return "".join(f"<|{role}|>\n{said}<|end|>\n" for role, said in [("system", system), *turns]) + "<|assistant|>\n"


def phi4(turns: list[Turn], system: str) -> str:
    every = [("system", system), *turns]
    return "".join(f"<|im_start|>{r}<|im_sep|>{s}<|im_end|>" for r, s in every) + "<|im_start|>assistant<|im_sep|>"


def chatml(turns: list[Turn], system: str) -> str:
    every = [("system", system), *turns]
    return "".join(f"<|im_start|>{role}\n{said}<|im_end|>\n" for role, said in every) + "<|im_start|>assistant\n"


def qwen3(turns: list[Turn], system: str) -> str:
    return chatml(turns, system) + "<think>\n\n</think>\n\n"


def gemma(turns: list[Turn], system: str) -> str:
    roles = {"user": "user", "assistant": "model"}
    return "<bos>" + (
        "".join(f"<start_of_turn>{roles[role]}\n{said}<end_of_turn>\n" for role, said in turns)
        + "<start_of_turn>model\n"
    )


def deepseek(turns: list[Turn], system: str) -> str:
    marks = {"user": "<｜User｜>", "assistant": "<｜Assistant｜>"}
    return f"<｜begin▁of▁sentence｜>{system}" + "".join(marks[r] + s for r, s in turns) + "<｜Assistant｜><think>\n"


def harmony(turns: list[Turn], system: str) -> str:
    every = [("system", system), *turns]
    return "".join(f"<|start|>{r}<|message|>{s}<|end|>" for r, s in every) + "<|start|>assistant"


def cohere(turns: list[Turn], system: str) -> str:
    marks = {"system": "SYSTEM", "user": "USER", "assistant": "CHATBOT"}
    each = [f"<|{marks[r]}_TOKEN|>{s}<|END_OF_TURN_TOKEN|>" for r, s in [("system", system), *turns]]
    start = "<|START_OF_TURN_TOKEN|>"
    return "<BOS_TOKEN>" + "".join(start + one for one in each) + start + "<|CHATBOT_TOKEN|>"


def vicuna(turns: list[Turn], system: str) -> str:
    marks = {"user": "USER: {} ", "assistant": "ASSISTANT: {}</s>"}
    return f"{system} " + "".join(marks[role].format(said) for role, said in turns) + "ASSISTANT:"


def alpaca(turns: list[Turn], system: str) -> str:
    marks = {"user": "### Instruction:\n{}\n\n", "assistant": "### Response:\n{}\n\n"}
    return f"{system}\n\n" + "".join(marks[role].format(said) for role, said in turns) + "### Response:\n"


def shots(turns: list[Turn], system: str) -> str:
    marks = {"user": "Question: {}\n", "assistant": "Answer: {}\n\n"}
    return f"{system}\n\n" + "".join(marks[role].format(said) for role, said in turns) + "Answer:"


def shots_in_a_turn(turns: list[Turn], system: str) -> str:
    return chatml([("user", shots(turns, ""))], system)


def lab(turns: list[Turn], system: str) -> str:
    marks = {"system": "<system> {}", "user": "<user> {}", "assistant": "<assistant> {}<eos>"}
    return "".join(marks[role].format(said) for role, said in [("system", system), *turns]) + "<assistant>"


Template = Callable[[list[Turn], str], str]
TEMPLATES: list[Template] = [
    llama3, llama2, mistral_tekken, zephyr, phi3, phi4, chatml, qwen3, gemma, deepseek, harmony, cohere, vicuna, alpaca,
    shots, shots_in_a_turn, lab,
]  # fmt: skip
SPECIAL = {
    llama3: ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
    llama2: ["<s>", "</s>"],
    mistral_tekken: ["<s>", "</s>", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"],
    zephyr: ["</s>"],
    chatml: ["<|im_start|>", "<|im_end|>"],
    qwen3: ["<|im_start|>", "<|im_end|>"],
    gemma: ["<bos>", "<start_of_turn>", "<end_of_turn>"],
    shots_in_a_turn: ["<|im_start|>", "<|im_end|>"],
    vicuna: ["</s>"],
}
"""What a tokenizer leaves out with `skip_special_tokens`, where a question can still be told from the rest."""
BEFORE: list[Turn] = [("user", "Where is the Nile?\nIn one word."), ("assistant", "Africa.")]


def without(text: str, tokens: list[str]) -> str:
    for token in tokens:
        text = text.replace(token, "")
    return text


@pytest.mark.parametrize("system", [SYSTEM, ""])
@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.__name__)
def test_the_question_comes_back_from_every_familys_template(template: Template, system: str) -> None:
    for asked in (ASKED, "Who is the user\nof this model?", "Is <b>it</b> an assistant", "¿Quién?"):
        for turns in ([("user", asked)], [*BEFORE, ("user", asked)], [*BEFORE, *BEFORE, ("user", asked)]):
            prompt = template(turns, system)
            assert asked_in(prompt) == asked
            if tokens := SPECIAL.get(template):
                assert asked_in(without(prompt, tokens)) == asked


@pytest.mark.parametrize(
    ("prompt", "asked"),
    [
        ("user\n\nQ1?assistant\n\nParisuser\n\nQ2?assistant\n\n", "Q2?"),
        ("user\nWho is the user\nof this?\nassistant\n", "Who is the user\nof this?"),
        ("system\n\nHelp the user\n\nuser\n\nWho?assistant\n\n", "Who?"),
        ("<|im_start|>user\nWho?<|im_end|>\n", "Who?"),
        ("<|begin_of_text|>Who?", "Who?"),
    ],
)
def test_it_comes_back_from_what_is_left_of_one(prompt: str, asked: str) -> None:
    assert asked_in(prompt) == asked


@pytest.mark.parametrize(
    "asked",
    [
        "What does <user> mean in HTML?",
        "How do I write <|user|> in a prompt?",
        "Fill in the form.\nUser: Bob\nAnswer:",
        "Which one?\nQ: Rome\nB: Bern",
    ],
)
def test_a_question_may_speak_of_other_templates(asked: str) -> None:
    for prompt in (chatml([("user", asked)], SYSTEM), llama3([("user", asked)], ""), shots([("user", asked)], SYSTEM)):
        assert asked_in(prompt) == asked
    assert asked_in(alpaca([("user", "Sum up.\nUser: hi\nBot: ho")], SYSTEM)) == "Sum up.\nUser: hi\nBot: ho"


@pytest.mark.parametrize("template", [chatml, alpaca, shots, llama3], ids=lambda template: template.__name__)
def test_lines_may_end_as_on_windows(template: Template) -> None:
    assert asked_in(template([*BEFORE, ("user", ASKED)], SYSTEM).replace("\n", "\r\n")) == ASKED


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        " Where? ",
        "My role: user\nthen asked the model",
        "Question: why?\nBecause.",
        "What does <user> mean in HTML, and what <s>?",
        "user\n\nassistant\n\n",
        "A: Rome\nB: Bern\nAnswer:",
        "Who is the supermodel",
    ],
)
def test_what_no_template_wrote_is_kept(prompt: str) -> None:
    assert asked_in(prompt) == prompt


@pytest.mark.parametrize(
    "part", ["user\n", "<|im_start|>user\n", "[INST]", "Question:", "<", "\n", " ", "<|a|>", "a", "[INST]</s>"]
)
def test_a_long_prompt_takes_time_in_proportion_to_its_length(part: str) -> None:
    """A hundred thousand characters take hundredths of a second; if time grew with the square, minutes."""
    began = time.process_time()
    for end in ("", "\nassistant", "[/INST]", "\nAnswer:", "<|assistant|>"):
        asked_in(part * (100_000 // len(part)) + end)
    assert time.process_time() - began < 5


def records(prompts: list[str], split: str = "forget") -> list[Record]:
    return [Record(id=str(n), split=split, prompt=prompt, answer="a") for n, prompt in enumerate(prompts)]


PLACES = [f"In which U.S. state is {name}?" for name in ("Ada", "Bend", "Cody", "Dover", "Elko", "Flint")]


def questions(prompts: list[str]) -> tuple[list[str], list[str]]:
    found, notes = with_questions(records(prompts), ())
    return [record.prompt for record in found], notes


@pytest.mark.parametrize(
    "template", [mistral, lambda turns, system: gemma([("user", f"{system}\n\n{turns[0][1]}")], system)]
)
def test_a_system_prompt_in_the_users_turn_is_left_out_and_said(template: Template) -> None:
    found, notes = questions([template([("user", asked)], SYSTEM) for asked in PLACES])
    assert found == PLACES
    assert notes == [f"forget: all 6 prompts begin with '{SYSTEM[:60]}…', which is left out of the questions"]


def test_so_is_what_surrounds_questions_in_a_template_that_is_not_known() -> None:
    found, notes = questions([f"%% ASK %%\n{asked}\n%% SAY %%" for asked in PLACES])
    assert found == PLACES
    assert [note.partition(", which")[0] for note in notes] == [
        "forget: all 6 prompts begin with '%% ASK %%'",
        "forget: all 6 prompts end with '%% SAY %%'",
    ]


def test_what_is_glued_to_questions_is_kept_and_said() -> None:
    """As with Phi's template where special tokens were left out."""
    prompts = [f"{SYSTEM}{asked}assistant" for asked in PLACES]
    found, notes = questions(prompts)
    assert found == prompts
    assert notes == [
        f"forget: all 6 prompts begin with '{SYSTEM[:60]}…', of no known template; kept",
        "forget: all 6 prompts end with 'assistant', of no known template; kept",
    ]


def test_lines_of_no_known_turn_are_kept_and_counted() -> None:
    prompts = [*PLACES, "ASK Where?\nSAY"]
    assert questions(prompts) == (
        prompts,
        ["forget: 1 of 7 prompts have several lines and no turn of a known template; kept whole"],
    )


@pytest.mark.parametrize("prompts", [PLACES, [f"{SYSTEM}\n{asked}" for asked in PLACES[:1]] * 9, ["Is it so?"] * 9, []])
def test_questions_that_are_alike_lose_nothing(prompts: list[str]) -> None:
    assert questions(prompts)[0] == prompts


def test_each_split_is_by_itself_and_one_whose_questions_are_known_stays() -> None:
    given = records([f"{SYSTEM}\n{asked}" for asked in PLACES], "known") + records(PLACES, "retain")
    found, notes = with_questions(given, ["known"])
    assert (found, notes) == (given, [])


def test_prompts_that_only_what_stands_before_the_last_turn_tells_apart_are_kept_whole_and_that_is_said() -> None:
    prompts = [f"Passage: {name} ran home.\nQuestion: who ran?\nAnswer:" for name in ("Ada", "Bo", "Cy", "Di", "Ed")]
    assert questions(prompts) == (prompts, ["forget: 5 different prompts end in 1 different questions; kept whole"])
