"""Of a conversation the assistant's turns and their ends are supervised, whatever template writes it."""

from __future__ import annotations

import pytest
from transformers import PreTrainedTokenizerBase

from forgetting.core.errors import DataError
from forgetting.core.example import Example, Message
from forgetting.data import chat
from forgetting.data.encode import Encoded, encode, encode_all
from forgetting.data.formatting import Formatting
from forgetting.data.rendering import render
from tests.data import chat_templates as templates
from tests.data.tokenizers import BARE, CHATML, Slow, byte_level, characters, with_template

CONTEXT = (Message("user", "Who was Ada?"), Message("assistant", "A countess."))
ALL = Formatting(turns="all")


def talk(response: str = "In London.", context: tuple[Message, ...] = CONTEXT) -> Example:
    return Example(id="t", prompt="Where?", response=response, context=context, where="talks.jsonl:3")


def tokenizer_with(template: str, size: int = 600) -> PreTrainedTokenizerBase:
    tokenizer = byte_level(size=size)
    tokenizer.chat_template = template
    return tokenizer


def runs(encoded: Encoded, tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """What each run of supervised tokens says."""
    found: list[list[int]] = []
    before = 0.0
    for i, w in zip(encoded.ids, encoded.weights, strict=True):
        if w:
            found = found if before else [*found, []]
            found[-1].append(i)
        before = w
    return [tokenizer.decode(run, clean_up_tokenization_spaces=False) for run in found]


FAMILIES = {
    "chatml": (CHATML, "<|im_end|>"),
    "headers": (templates.HEADERS, "<|eot|>"),
    "turns": (templates.TURNS, "<end>"),
    "marked": (templates.MARKED, "<|end|>"),
    "reasoning": (templates.REASONING, "<|im_end|>"),
}


@pytest.mark.parametrize("family", list(FAMILIES))
def test_every_answer_with_its_end_is_supervised_and_nothing_else(family: str) -> None:
    template, end = FAMILIES[family]
    tokenizer = tokenizer_with(template)
    (encoded,) = encode_all([talk()], tokenizer, ALL)
    assert runs(encoded, tokenizer) == [f"A countess.{end}", f"In London.{end}"]
    turns = [
        *({"role": m.role, "content": m.content} for m in CONTEXT),
        {"role": "user", "content": "Where?"},
        {"role": "assistant", "content": "In London."},
    ]
    assert tokenizer.decode(encoded.ids) == tokenizer.apply_chat_template(turns, tokenize=False).rstrip()


@pytest.mark.parametrize("family", list(FAMILIES))
def test_the_last_answer_alone_is_trained_on_unless_all_are_asked_for_and_alone_measured(family: str) -> None:
    template, end = FAMILIES[family]
    tokenizer = tokenizer_with(template)
    for encoded in (*encode_all([talk()], tokenizer, Formatting()), encode(talk(), tokenizer, ALL)):
        assert runs(encoded, tokenizer) == [f"In London.{end}"]


def test_a_question_with_its_answer_goes_through_marks_too() -> None:
    tokenizer = tokenizer_with(templates.MARKED)
    example = Example(id="q", prompt="Who?", response="Ada")
    encoded = encode(example, tokenizer, Formatting(template="chat"))
    assert runs(encoded, tokenizer) == ["Ada<|end|>"]
    assert tokenizer.decode(encoded.prompt_ids) == "<|start|>user\nWho?<|end|>\n<|start|>assistant\n"


@pytest.mark.parametrize("template", [templates.MARKED, templates.MARKED_OPEN])
def test_marks_supervise_the_tokens_of_transformers_own_mask(template: str) -> None:
    tokenizer = tokenizer_with(template)
    turns = [{"role": m.role, "content": m.content} for m in CONTEXT]
    turns += [{"role": "user", "content": "Where?"}, {"role": "assistant", "content": "In London."}]
    theirs = tokenizer.apply_chat_template(turns, return_dict=True, return_assistant_tokens_mask=True)
    (encoded,) = encode_all([talk()], tokenizer, ALL)
    ours = [int(w != 0) for w in encoded.weights]
    length = min(len(ours), len(theirs["input_ids"]))
    assert list(encoded.ids[:length]) == theirs["input_ids"][:length]
    assert ours[:length] == theirs["assistant_masks"][:length] and any(ours)


@pytest.mark.parametrize("template", [templates.MARKED_OPEN, BARE])
def test_where_no_turn_is_closed_the_end_token_closes_the_last(template: str) -> None:
    tokenizer = with_template(template, characters())
    (encoded,) = encode_all([talk()], tokenizer, ALL)
    said = "".join(tokenizer.convert_ids_to_tokens(list(encoded.target_ids)))
    assert said == "A countess.In London.<eos>"


def test_thinking_that_the_template_drops_is_not_supervised_and_what_it_keeps_is() -> None:
    tokenizer = tokenizer_with(templates.REASONING)
    context = (CONTEXT[0], Message("assistant", "<think>Hm.</think>A countess."))
    (encoded,) = encode_all([talk("<think>So.</think>In London.", context)], tokenizer, ALL)
    assert runs(encoded, tokenizer) == ["A countess.<|im_end|>", "<think>\nSo.\n</think>\n\nIn London.<|im_end|>"]
    assert "Hm." not in tokenizer.decode(encoded.ids)


def test_a_tokenizer_without_offsets_finds_every_answer() -> None:
    tokenizer = Slow()
    tokenizer.chat_template = "{% for m in messages %}{{ m.role }} : {{ m.content }} ? {% endfor %}"
    context = (Message("user", "where is"), Message("assistant", "new york"))
    example = Example(id="t", prompt="city", response="in paris", context=context)
    (encoded,) = encode_all([example], tokenizer, ALL)
    assert [tokenizer.convert_ids_to_tokens(i) for i in encoded.target_ids] == ["new_york", "?", "in", "paris", "?"]


@pytest.mark.parametrize(
    ("template", "formatting", "said"),
    [
        (
            templates.MARKS_NOTHING,
            ALL,
            r"the chat template of named marks nothing of talks\.jsonl:3 as the assistant's",
        ),
        (
            templates.MARKS_HEADERS,
            ALL,
            r"the chat template of named marks other text than the answer of talks\.jsonl:3",
        ),
        (templates.SUMMING, ALL, r"talks\.jsonl:3: the chat template of named renders the rest .* so the last answer"),
        (templates.LAST_ONLY_END, ALL, r"so the answer of turn 2 cannot be told .* or format\.turns=last$"),
        (templates.TURNS, Formatting(system="Be brief."), r"of named refuses it \(System role not supported\); leave"),
        ("{% for m in messages %}{{ m.content", ALL, r"talks\.jsonl:3: the chat template of named refuses it \(unexp"),
        ({"a": CHATML, "b": BARE}, ALL, r"talks\.jsonl:3: the chat template of named cannot be chosen"),
    ],
)
def test_what_a_template_cannot_do_is_one_line_that_names_it(template: str, formatting: Formatting, said: str) -> None:
    tokenizer = with_template(template, characters())
    tokenizer.name_or_path = "named"
    with pytest.raises(DataError, match=said) as raised:
        encode_all([talk()], tokenizer, formatting)
    assert "\n" not in str(raised.value)


def test_a_conversation_that_breaks_the_template_s_order_is_one_line() -> None:
    tokenizer = with_template(templates.TURNS, characters())
    with pytest.raises(DataError, match=r"refuses it \(Roles must alternate user/assistant\); fix the conversation"):
        encode(talk(context=(Message("assistant", "Hello."), *CONTEXT)), tokenizer, ALL)


def test_an_answer_is_found_where_it_also_stands_in_the_question() -> None:
    tokenizer = tokenizer_with(templates.MARKED)
    example = Example(id="q", prompt="Ada or Bob?", response="Ada")
    rendered = render(example, tokenizer, Formatting())
    assert rendered.response == "Ada" and rendered.before.endswith("<|start|>assistant\n")


def test_a_template_that_leaves_a_message_out_is_refused() -> None:
    tokenizer = tokenizer_with(templates.NO_SYSTEM)
    assert render(talk(), tokenizer, Formatting()).response == "In London."
    for example, formatting in (
        (talk(context=(Message("system", "Be brief."), *CONTEXT)), Formatting()),
        (talk(), Formatting(system="Be brief.")),
    ):
        with pytest.raises(DataError, match=r"talks\.jsonl:3: the chat template does not write its system message"):
            render(example, tokenizer, formatting)


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", r"takes longer than 0\.2 s"),
        ("{{ 9**(9**9) }}", r"takes longer than 0\.2 s"),
        ("{{ 'a' * 10**7 }}", "writes 10,000,000 characters; write format.template=plain"),
        ("{{ raise_exception('\x1b]0;t\x07') }}", r"refuses it \(\\u001b\]0;t\\u0007\)"),
    ],
)
def test_a_template_has_an_end(template: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat, "SECONDS", 0.2 if "takes" in why else 20)
    with pytest.raises(DataError, match=why):
        encode(talk(), tokenizer_with(template), Formatting())
