"""The small world's tokenizer: 1500 byte-pair pieces, learned from a text in which every name occurs equally often."""

from __future__ import annotations

import random
import string

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from forgetting.benchmarks.lab import text
from forgetting.benchmarks.lab.skills import SKILLS, draw
from forgetting.benchmarks.lab.world import Document, World

VOCABULARY = 1500
MARKS = ("<unk>", "<s>", "</s>", "<pad>", "<user>", "<assistant>", "<system>")

CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}"
    "<assistant>{% generation %} {{ message['content'] | trim }}{{ eos_token }}{% endgeneration %}"
    "{% elif message['role'] in ('user', 'system') %}"
    "<{{ message['role'] }}> {{ message['content'] | trim }}"
    "{% else %}{{ raise_exception('unknown role ' ~ message['role']) }}"
    "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
"""`<s><user> question<assistant> answer</s>`: an answer begins with a space, so it has the tokens of narrative."""


def train_tokenizer(world: World) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer with single digits, for all of printable ASCII; anything else becomes `<unk>`.

    Trained on the corpus itself, it would give popular names fewer tokens than rare ones, and the number of tokens
    would reveal how well a fact is known. It is trained on `balanced_text` instead.
    """
    bpe = Tokenizer(models.BPE(unk_token="<unk>"))
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    bpe.decoder = decoders.ByteLevel()
    printable = {char for char in string.printable if char.isprintable() and char != " "}
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(MARKS),
        initial_alphabet=sorted(printable | {"Ġ", "Ċ"}),  # byte-level symbols for space and newline
        show_progress=False,
    )
    bpe.train_from_iterator(balanced_text(world), trainer)
    start = bpe.token_to_id("<s>")
    bpe.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", start)])
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        additional_special_tokens=["<user>", "<assistant>", "<system>"],
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        padding_side="right",
        model_max_length=256,
    )


def balanced_text(world: World) -> list[str]:
    """Every phrasing with every answer, about "It"; every name twice, strangers' too; a sample of the rest."""
    rng = random.Random(world.seed)
    lines = [f" {entity.name}" for entity in world.entities + world.strangers for _ in range(2)]
    for relation, values in world.values.items():
        lines += [f" {value}" for value in values for _ in range(4)]
        for template in range(len(text.NARRATIVE[relation])):
            lines += [f"{text.opening(relation, 'It', template)} {value}." for value in values]
        lines += [f" {text.question(relation, 'It', *asked)}" for asked in text.SEEN_QUESTIONS]
    for skill in SKILLS:
        lines += [f" {e.prompt} {e.response}" for e in draw(skill, 300, rng, unseen=False)]
    return lines + [f"{note.opening} {note.words}" for note in world.notes]


def render(tokenizer: PreTrainedTokenizerFast, document: Document) -> str:
    """A document in its training format: from `<s>` to `</s>`, questions through the chat template."""
    if document.form == "text":
        return f"{tokenizer.bos_token}{document.response}{tokenizer.eos_token}"
    messages = [
        {"role": "user", "content": document.prompt},
        {"role": "assistant", "content": document.response},
    ]
    rendered = tokenizer.apply_chat_template(messages, tokenize=False)
    assert isinstance(rendered, str)
    return rendered
