"""The exact text that a model sees of an example behind shots, and which of it is supervised."""

from __future__ import annotations

import pytest
from tokenizers import pre_tokenizers
from transformers import PreTrainedTokenizerFast

from forgetting.core.errors import DataError
from forgetting.core.example import Example, Message
from forgetting.data.encode import encode, encode_all
from forgetting.data.formatting import Formatting
from forgetting.data.rendering import render
from forgetting.data.shots import Shot, Shots
from tests.data.tokenizers import CHATML, THINKING, Slow, byte_level, characters, with_template

SHOTS = Shots(examples=(Shot(prompt="Who?", response="Ada"), Shot(prompt="Where?", response="Rome")))
EXAMPLE = Example(id="q", prompt="When?", response="1815", where="facts.jsonl:17")
MARKED = (
    "{% for m in messages %}[{{ m['role'] }}]{% if m['role'] == 'assistant' %}"
    "{% generation %}{{ m['content'] }}</s>{% endgeneration %}{% else %}{{ m['content'] }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


def parts(tokenizer: PreTrainedTokenizerFast, formatting: Formatting, example: Example = EXAMPLE) -> tuple[str, str]:
    """The text of the prompt's tokens, and of the supervised ones."""
    row = encode(example, tokenizer, formatting)
    count = len(row.prompt_ids)
    assert all(row.weights[count:]), "the supervised tokens are one run to the end"
    names = tokenizer.convert_ids_to_tokens(list(row.ids))
    return "".join(names[:count]), "".join(names[count:])


def test_without_a_template_shots_are_text_before_the_question() -> None:
    formatting = Formatting(shots=SHOTS)
    before = "Question: Who?\nAnswer: Ada\n\nQuestion: Where?\nAnswer: Rome\n\nQuestion: When?\nAnswer: "
    assert render(EXAMPLE, characters(), formatting).text == before + "1815\n\n"
    assert parts(characters(), formatting) == (before, "1815\n\n")
    assert parts(characters(), formatting.model_copy(update={"end": "token"})) == (before, "1815<eos>")


@pytest.mark.parametrize("trim", [False, True])
@pytest.mark.parametrize("separator", ["\n\n", "\n", " ## "])
def test_the_end_has_the_tokens_that_it_has_behind_a_shot(trim: bool, separator: str) -> None:
    """GPT-2's pattern leaves the last of several spaces to the next word, and takes all of them where none follows."""
    tokenizer = byte_level(trim=trim)
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    formatting = Formatting(shots=SHOTS, separator=separator)
    row = encode(EXAMPLE, tokenizer, formatting)
    more = Shots(examples=(*(SHOTS.examples or ()), Shot(prompt="When?", response="1815")))
    next_one = Example(id="z", prompt="Why?", response="x")
    longer = encode(next_one, tokenizer, formatting.model_copy(update={"shots": more}))
    if separator != " ## ":  # its last space is the next word's first
        assert row.ids == longer.ids[: len(row.ids)]
    assert tokenizer.decode(row.target_ids).lstrip().startswith(f"1815{separator.rstrip(' ')}")


def test_a_tokenizer_without_offsets_ends_answers_alike() -> None:
    tokenizer = Slow()
    shots = Shots(examples=(Shot(prompt="where is york?", response="new york city"),))
    formatting = Formatting(shots=shots, separator=" : ", plain="question {prompt} answer ")
    row = encode(Example(id="q", prompt="where is paris?", response="paris"), tokenizer, formatting)
    assert tokenizer.convert_ids_to_tokens(list(row.target_ids)) == ["paris", ":"]
    assert tokenizer.convert_ids_to_tokens(list(row.ids))[-2:] == ["paris", ":"]


def test_separator_template_and_prefix_are_those_of_the_recipe() -> None:
    formatting = Formatting(shots=SHOTS, separator="\n", plain="Q: {prompt} A:", prefix=" It is ")
    before = "Q: Who? A: It is Ada\nQ: Where? A: It is Rome\nQ: When? A: It is "
    assert parts(characters(), formatting) == (before, "1815\n")


def test_with_a_template_shots_are_earlier_turns_behind_the_system_prompt() -> None:
    def turn(role: str, text: str) -> str:
        return f"<|im_start|>{role}\n{text}<|im_end|>\n"

    formatting = Formatting(shots=SHOTS, system="Be brief.")
    before = turn("system", "Be brief.") + turn("user", "Who?") + turn("assistant", "Ada") + turn("user", "Where?")
    before += turn("assistant", "Rome") + turn("user", "When?") + "<|im_start|>assistant\n"
    tokenizer = with_template(CHATML)
    assert parts(tokenizer, formatting) == (before, "1815<|im_end|>")
    prefixed = formatting.model_copy(update={"prefix": "It is "})
    before = before.replace("Ada", "It is Ada").replace("Rome", "It is Rome")
    assert parts(tokenizer, prefixed) == (before + "It is ", "1815<|im_end|>")


@pytest.mark.parametrize("template", [CHATML, MARKED])
def test_shots_are_not_supervised_where_all_turns_are(template: str) -> None:
    tokenizer = with_template(template)
    earlier = (Message("system", "Hm."), Message("user", "Whom?"), Message("assistant", "Bo"))
    example = Example(id="q", prompt="When?", response="1815", context=earlier)
    formatting = Formatting(shots=SHOTS, turns="all")
    rendered = render(example, tokenizer, formatting, every=True)
    assert [rendered.text[a:b].rstrip("\n") for a, b in rendered.spans] == [
        f"{answer}{'<|im_end|>' if template == CHATML else '</s>'}" for answer in ("Bo", "1815")
    ]
    places = [rendered.text.index(text) for text in ("Hm.", "Who?", "Ada", "Where?", "Rome", "Whom?", "Bo", "When?")]
    assert places == sorted(places), "system prompt, shots, the example's own turns"
    (row,) = encode_all([example], tokenizer, formatting)
    plain = encode_all([example], tokenizer, Formatting(turns="all"))[0]
    assert row.target_ids == plain.target_ids


def test_a_marked_template_takes_a_prefix_too() -> None:
    tokenizer = with_template(MARKED)
    formatting = Formatting(shots=SHOTS, prefix="So: ")
    assert parts(tokenizer, formatting)[0].endswith("[user]When?[assistant]So: ")
    assert parts(tokenizer, formatting)[1] == "1815</s>"


def test_behind_a_thinking_block_the_model_goes_on_after_the_prefix() -> None:
    before, answer = parts(with_template(THINKING), Formatting(prefix="So: "))
    assert before.endswith("</think>\n\nSo: ") and answer == "1815<|im_end|>"


def test_a_template_that_writes_the_prefix_otherwise_is_refused() -> None:
    tokenizer = with_template(MARKED.replace("m['content'] }}</s>", "m['content'] | replace('  ', ' ') }}</s>"))
    assert parts(tokenizer, Formatting(prefix="So: "))[1] == "1815</s>"
    with pytest.raises(DataError, match=r"facts\.jsonl:17: the chat template writes the beginning of the answer"):
        render(EXAMPLE, tokenizer, Formatting(prefix="So:  "))


def test_texts_take_no_shots_no_prefix_and_no_separator() -> None:
    formatting = Formatting(shots=SHOTS, prefix="So: ", stop=("x",))
    for text in (
        Example(id="t", form="text", response="A text."),
        Example(id="t", form="text", prompt="A", response="b"),
    ):
        assert render(text, byte_level(), formatting) == render(text, byte_level(), Formatting())


def test_shots_count_in_the_length_of_a_row_and_the_row_is_named() -> None:
    with pytest.raises(DataError, match=r"facts\.jsonl:17: .* fills all 60 tokens; raise format\.max_length, or show"):
        encode(EXAMPLE, characters(), Formatting(shots=SHOTS, max_length=60))
    assert encode(EXAMPLE, characters(), Formatting(max_length=60)).truncated is False
