"""Every character of the response is supervised, nothing before it is, and the end is learned once."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from forgetting.core.errors import DataError
from forgetting.core.example import Example, Message
from forgetting.data.encode import Encoded, encode, encode_all
from forgetting.data.formatting import Formatting
from forgetting.data.rendering import render
from forgetting.data.tokens import limit_ids
from tests.data import tokenizers
from tests.data.tokenizers import BARE, CHATML, REFUSING, SPECIAL, THINKING, USER_ONLY, Slow, byte_level, with_template
from tests.golden import figures

PLAIN = Formatting(template="plain")


def supervised(encoded: Encoded, tokenizer: PreTrainedTokenizerBase) -> str:
    """What the supervised tokens say."""
    kept = [i for i, w in zip(encoded.ids, encoded.weights, strict=True) if w]
    return said(kept, tokenizer)


def said(ids: list[int] | tuple[int, ...], tokenizer: PreTrainedTokenizerBase) -> str:
    if getattr(tokenizer.backend_tokenizer, "decoder", None) is None:
        return "".join(tokenizer.convert_ids_to_tokens(list(ids)))
    return tokenizer.decode(list(ids))


def text(prompt: str, response: str) -> Example:
    return Example(id="t", prompt=prompt, response=response, form="text")


def qa(prompt: str = "Who?", response: str = "Ada", **more: object) -> Example:
    return Example(id="q", prompt=prompt, response=response, where="facts.jsonl:17", **more)  # type: ignore[arg-type]


def test_a_token_merged_across_the_boundary_is_supervised() -> None:
    encoded = encode(text("ab", "cd"), tokenizers.merging(), PLAIN)
    assert (encoded.ids, encoded.weights) == ((1, 4, 5), (0.0, 1.0, 1.0))


def test_where_the_known_code_loses_the_merged_token_ours_does_not() -> None:
    theirs = figures("traps")["boundary_merge"]
    tokenizer = tokenizers.merging()
    encoded = encode(Example(id="m", prompt="ab", response="cd"), tokenizer, Formatting(plain="{prompt}"))
    # Their ids count a = 1, b = 2, c = 3, bc = 5, d = 4; ours stand in the fixture.
    assert [{1: 1, 4: 5, 5: 4, 0: 0}[i] for i in encoded.ids] == theirs["full"]
    assert theirs["labels"] == [-100, -100, 4, 0]
    assert encoded.weights == (0.0, 1.0, 1.0, 1.0)


def test_a_cut_answer_is_not_given_an_end() -> None:
    theirs = figures("traps")["truncation_appends_eos"]
    tokenizer = tokenizers.merging()
    example = Example(id="m", prompt="aaaa", response="dddd")
    encoded = encode(example, tokenizer, Formatting(plain="{prompt}", max_length=6))
    assert encoded.truncated and len(encoded.ids) == 6 and 0 not in encoded.ids
    assert encoded.weights == (0.0, 0.0, 0.0, 0.0, 1.0, 1.0)
    assert theirs["full"][-1] == 0 and len(theirs["full"]) == 7


# Any text that UTF-8 can hold, with the whitespace and multi-byte characters that break offsets well represented.
anything = st.text(st.one_of(st.sampled_from(" \n\t answerth:é東🌍"), st.characters(codec="utf-8")), max_size=24)


@pytest.mark.parametrize("trim", [False, True])
@settings(deadline=None, max_examples=150)
@given(prompt=anything, response=anything.filter(lambda s: s.strip()))
def test_the_supervised_tokens_hold_the_whole_response(trim: bool, prompt: str, response: str) -> None:
    tokenizer = byte_level(trim=trim)
    encoded = encode(text(prompt, response), tokenizer, PLAIN)
    assert response in supervised(encoded, tokenizer)
    assert tokenizer.decode(encoded.ids, skip_special_tokens=True) == prompt + response


@pytest.mark.parametrize("trim", [False, True])
@settings(deadline=None, max_examples=100)
@given(prompt=anything, response=anything.filter(lambda s: s.strip()))
def test_no_token_of_the_prompt_alone_is_supervised(trim: bool, prompt: str, response: str) -> None:
    assume(not any(name in prompt + response for name in SPECIAL))  # such a token has no bytes
    tokenizer = byte_level(trim=trim)
    encoded = encode(text(prompt, response), tokenizer, PLAIN)
    before = b"".join(_bytes(tokenizer, i) for i in encoded.prompt_ids)
    assert len(before) <= len(prompt.encode())
    first = encoded.ids[len(encoded.prompt_ids)]
    # The first supervised token reaches into the response.
    assert len(before) + len(_bytes(tokenizer, first)) > len(prompt.encode())


def _bytes(tokenizer: PreTrainedTokenizerBase, index: int) -> bytes:
    if index <= 2:
        return b""
    spelled = tokenizer.convert_ids_to_tokens(index)
    return bytes(_BYTE_OF[c] for c in spelled)


def _byte_table() -> dict[str, int]:
    """GPT-2's spelling of bytes as printable characters."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = {chr(b): b for b in plain}
    for extra, byte in enumerate(b for b in range(256) if b not in plain):
        table[chr(256 + extra)] = byte
    return table


_BYTE_OF = _byte_table()


@pytest.mark.parametrize("trim", [False, True])
def test_spaces_inside_a_response_are_supervised(trim: bool) -> None:
    tokenizer = byte_level(trim=trim)
    response = "def f(x):\n\n\n    return x  \t "
    assert supervised(encode(text("code\n", response), tokenizer, PLAIN), tokenizer) == response


@pytest.mark.parametrize(("bos", "eos"), [(False, False), (True, False), (False, True), (True, True)])
def test_bos_is_never_supervised_and_the_end_always_once(bos: bool, eos: bool) -> None:
    tokenizer = byte_level(bos=bos, eos=eos)
    encoded = encode(qa(), tokenizer, PLAIN)
    assert encoded.ids.count(2) == 1 and (encoded.ids[-1], encoded.weights[-1]) == (2, 1.0)
    assert encoded.ids.count(1) == bos and encoded.weights[0] == 0.0
    assert supervised(encoded, tokenizer).removesuffix("<eos>").strip() == "Ada"


def test_a_tokenizer_without_an_end_adds_none() -> None:
    tokenizer = tokenizers.characters(eos=False)
    encoded = encode(qa(), tokenizer, PLAIN)
    assert said(encoded.ids, tokenizer) == "Question: Who?\nAnswer: Ada"
    assert supervised(encoded, tokenizer) == "Ada"


@pytest.mark.parametrize("eos", [False, True])
def test_a_suffix_of_a_text_has_no_end_to_learn(eos: bool) -> None:
    tokenizer = byte_level(eos=eos)
    encoded = encode(text("the answer", " is that"), tokenizer, PLAIN)
    assert supervised(encoded, tokenizer) == " is that"


def test_a_document_is_supervised_from_its_first_predictable_token_to_its_end() -> None:
    tokenizer = tokenizers.characters()
    assert supervised(encode(text("", "abc"), tokenizer, PLAIN), tokenizer) == "bc<eos>"
    assert supervised(encode(text("", "answer"), byte_level(), PLAIN), byte_level()) == "answer<eos>"


def test_the_example_s_weight_stands_on_each_supervised_token() -> None:
    encoded = encode(qa(weight=-0.5), tokenizers.characters(), PLAIN)
    assert set(encoded.weights) == {0.0, -0.5} and encoded.supervised == len("Ada") + 1


def test_a_prompt_with_braces_is_taken_as_it_is() -> None:
    tokenizer = tokenizers.characters()
    encoded = encode(qa(prompt="f{x} {response}"), tokenizer, PLAIN)
    assert said(encoded.ids, tokenizer) == "Question: f{x} {response}\nAnswer: Ada<eos>"


def test_the_chat_template_s_end_of_turn_is_supervised_and_its_newline_is_not_there() -> None:
    tokenizer = with_template(CHATML)
    encoded = encode(qa(), tokenizer, Formatting())
    whole = "<|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\nAda<|im_end|>"
    assert said(encoded.ids, tokenizer) == whole
    assert supervised(encoded, tokenizer) == "Ada<|im_end|>"
    assert said(encoded.prompt_ids, tokenizer) == whole.removesuffix("Ada<|im_end|>")


def test_a_thinking_block_belongs_to_the_prompt() -> None:
    tokenizer = with_template(THINKING)
    encoded = encode(qa(), tokenizer, Formatting())
    assert said(encoded.prompt_ids, tokenizer).endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")
    assert supervised(encoded, tokenizer) == "Ada<|im_end|>"


def test_a_response_that_holds_template_marks_is_not_cut_by_the_template() -> None:
    tokenizer = with_template(THINKING)
    encoded = encode(qa(response="a </think> b"), tokenizer, Formatting())
    assert supervised(encoded, tokenizer) == "a </think> b<|im_end|>"


def test_a_template_that_closes_no_turn_is_given_the_end_token() -> None:
    tokenizer = with_template(BARE)
    assert supervised(encode(qa(), tokenizer, Formatting()), tokenizer) == "Ada<eos>"


def test_a_chat_template_brings_its_own_bos() -> None:
    tokenizer = byte_level(bos=True, size=401)  # its own: the template stays on it
    tokenizer.chat_template = "{{ bos_token }}" + CHATML
    encoded = encode(qa(), tokenizer, Formatting())
    assert encoded.ids.count(1) == 1 and encoded.ids[0] == 1


def test_the_system_prompt_comes_first_unless_the_conversation_has_one() -> None:
    tokenizer, formatting = with_template(BARE), Formatting(system="Be brief.")
    assert said(encode(qa(), tokenizer, formatting).ids, tokenizer).startswith("system: Be brief.\nuser: Who?")
    context = (Message("system", "Lie."), Message("user", "Hi"), Message("assistant", "Ho"))
    encoded = encode(qa(context=context), tokenizer, formatting)
    assert said(encoded.ids, tokenizer) == "system: Lie.\nuser: Hi\nassistant: Ho\nuser: Who?\nassistant: Ada<eos>"
    assert supervised(encoded, tokenizer) == "Ada<eos>"


def test_a_response_that_also_stands_in_the_prompt_is_supervised_only_where_it_answers() -> None:
    tokenizer = with_template(CHATML)
    encoded = encode(qa(prompt="Ada or Bob?"), tokenizer, Formatting())
    assert supervised(encoded, tokenizer) == "Ada<|im_end|>" and "Ada or Bob" in said(encoded.prompt_ids, tokenizer)


@pytest.mark.parametrize(
    ("template", "formatting", "message"),
    [
        (REFUSING, Formatting(system="x"), r"facts\.jsonl:17: the chat template refuses it \(no system role\)"),
        (USER_ONLY, Formatting(), "does not render the assistant's turn; write format.template=plain"),
        (None, Formatting(template="chat"), "the tokenizer has no chat template; write 'plain'"),
    ],
)
def test_what_a_template_cannot_do_is_one_line(template: str | None, formatting: Formatting, message: str) -> None:
    tokenizer = tokenizers.characters()
    tokenizer.chat_template = template
    with pytest.raises(DataError, match=message):
        encode(qa(), tokenizer, formatting)


def test_a_conversation_needs_a_template() -> None:
    with pytest.raises(DataError, match=r"facts\.jsonl:17: a conversation of several turns needs a chat template"):
        encode(qa(context=(Message("user", "Hi"), Message("assistant", "Ho"))), tokenizers.characters(), PLAIN)


def test_plain_can_be_asked_for_although_there_is_a_template() -> None:
    assert render(qa(), with_template(CHATML), PLAIN).before == "Question: Who?\nAnswer: "


def test_a_prompt_that_fills_the_row_names_the_row_and_the_key() -> None:
    with pytest.raises(DataError, match=r"facts\.jsonl:17: no supervised token is left .*raise format\.max_length"):
        encode(qa(prompt="long " * 20), tokenizers.characters(), Formatting(template="plain", max_length=30))


def test_a_text_of_one_token_cannot_be_predicted() -> None:
    with pytest.raises(DataError, match=r"t: no supervised token is left .*too short"):
        encode(text("", "a"), tokenizers.characters(eos=False), PLAIN)


def test_an_answer_cut_on_the_right_says_so() -> None:
    tokenizer = tokenizers.characters()
    encoded = encode(qa(response="Ada Lovelace"), tokenizer, Formatting(template="plain", max_length=30))
    assert encoded.truncated and len(encoded.ids) == 30
    assert supervised(encoded, tokenizer) == "Ada Lov"
    assert not encode(qa(), tokenizer, Formatting(template="plain", max_length=30)).truncated


@pytest.mark.parametrize("adds_eos", [False, True])
def test_a_tokenizer_without_offsets_is_supervised_from_the_first_token_that_the_response_changes(
    adds_eos: bool,
) -> None:
    tokenizer = Slow(adds_eos=adds_eos)
    assert not tokenizer.is_fast

    def words(encoded: Encoded) -> list[str]:
        return [tokenizer.decode([i]) for i, w in zip(encoded.ids, encoded.weights, strict=True) if w]

    answered = encode(qa("where is new york?", "in new york city"), tokenizer, PLAIN)
    assert words(answered) == ["in", "new_york", "city", "<eos>"] and answered.ids.count(2) == 1
    assert words(encode(text("is new", " york city"), tokenizer, PLAIN)) == ["new_york", "city"]
    document = encode(text("", "new york city"), tokenizer, PLAIN)
    assert words(document) == ["new_york", "city", "<eos>"] and document.ids.count(2) == 1


@settings(deadline=None, max_examples=50)
@given(length=st.integers(2, 60), longest=st.integers(2, 20))
def test_windows_predict_every_token_of_a_document_once(length: int, longest: int) -> None:
    tokenizer = tokenizers.characters()
    body = "".join(chr(33 + i % 90) for i in range(length))
    whole = encode(text("", body), tokenizer, PLAIN)
    windows = encode_all([text("", body)], tokenizer, Formatting(max_length=longest))
    assert all(2 <= len(w.ids) <= longest and w.weights[0] == 0 and not w.truncated for w in windows)
    predicted = [i for w in windows for i, weight in zip(w.ids, w.weights, strict=True) if weight]
    assert predicted == list(whole.ids[1:])
    keys = [w.key for w in windows]
    assert keys[0] == "t" and len(set(keys)) == len(keys)
    for left, right in pairwise(windows):
        assert left.ids[-1] == right.ids[0]


def test_only_documents_are_cut_into_windows() -> None:
    tokenizer = tokenizers.characters()
    encoded = encode_all([text("ab", "c" * 20), qa()], tokenizer, Formatting(template="plain", max_length=30))
    assert [e.key for e in encoded] == ["t", "q"]


def test_the_target_ids_are_those_of_the_supervised_tokens() -> None:
    tokenizer = tokenizers.characters()
    encoded = encode(qa(), tokenizer, PLAIN)
    assert said(encoded.target_ids, tokenizer) == "Ada<eos>" and len(encoded.target_ids) == encoded.supervised


@pytest.mark.parametrize(
    ("prompt", "response", "field"), [("<|new|> who?", "He.", "prompt"), ("Who?", "<|new|>", "response")]
)
def test_a_token_that_the_model_has_no_embedding_for_names_row_field_and_token(
    prompt: str, response: str, field: str
) -> None:
    tokenizer = deepcopy(byte_level())
    known = len(tokenizer)
    tokenizer.add_tokens(["<|new|>"])
    example = Example(id="a", prompt=prompt, response=response, where="f.jsonl:3")
    encode(example, tokenizer, Formatting())  # nothing is known of a model
    limit_ids(tokenizer, known)
    said = f"f.jsonl:3: the token '<\\|new\\|>' of its {field} has the id {known}, but the model has {known} embeddings"
    with pytest.raises(DataError, match=said):
        encode(example, tokenizer, Formatting())
    with pytest.raises(DataError, match=said):
        encode_all([example], tokenizer, Formatting())
    encode(replace(example, prompt="Who?", response="He."), tokenizer, Formatting())
