"""Small tokenizers with the habits that go wrong: merges across the boundary, trimmed offsets, own BOS and EOS."""

from __future__ import annotations

from functools import lru_cache
from typing import ClassVar

from tokenizers import Tokenizer, decoders, pre_tokenizers, processors, trainers
from tokenizers.models import BPE, WordLevel
from transformers import PreTrainedTokenizer, PreTrainedTokenizerFast

SPECIAL = ("<pad>", "<bos>", "<eos>")
_CORPUS = (
    "Question: Where was Ada born?\nAnswer: London",
    "def f(x):\n    return x  # ok\n\n\n",
    "Łódź Größe 東京 🌍🌍 naïve café \t tabs",
    "the answer is that the answers were the same as the answer",
)


@lru_cache
def byte_level(*, trim: bool = False, bos: bool = True, eos: bool = False, size: int = 400) -> PreTrainedTokenizerFast:
    """A byte-level BPE as GPT-2's; `trim`: spaces are left out of the offsets, as RoBERTa's post-processor does."""
    backend = Tokenizer(BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(_CORPUS * 3, trainer)
    around = [name for name, wanted in (("<bos>", bos), ("$A", True), ("<eos>", eos)) if wanted]
    backend.post_processor = processors.Sequence(
        [
            processors.ByteLevel(add_prefix_space=False, trim_offsets=trim),
            processors.TemplateProcessing(single=" ".join(around), special_tokens=[("<bos>", 1), ("<eos>", 2)]),
        ]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>", unk_token=None
    )


def merging() -> PreTrainedTokenizerFast:
    """Over a, b, c, d with the one merge `bc`: id 0 <eos>, 1 a, 2 b, 3 c, 4 bc, 5 d."""
    backend = Tokenizer(BPE({"<eos>": 0, "a": 1, "b": 2, "c": 3, "bc": 4, "d": 5}, [("b", "c")]))
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<eos>", unk_token=None)


def characters(*, eos: bool = True) -> PreTrainedTokenizerFast:
    """One token a character, and no BOS; id 0 is <eos> where there is one."""
    names = ["<eos>", *map(chr, range(32, 127)), "\n"]
    backend = Tokenizer(WordLevel({name: i for i, name in enumerate(names)}, unk_token="?"))
    backend.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<eos>" if eos else None, unk_token="?")


class Slow(PreTrainedTokenizer):
    """A tokenizer in plain Python, without offsets: words, of which `new york` is one; adds BOS and, if told, EOS."""

    vocab_files_names: ClassVar[dict[str, str]] = {}

    def __init__(self, *, adds_eos: bool = False) -> None:
        words = ["where", "is", "new", "york", "new_york", "city", "paris", "?", ":", "question", "answer", "in"]
        self._ids = {name: i for i, name in enumerate((*SPECIAL, "<unk>", *words))}
        self._adds_eos = adds_eos
        super().__init__(pad_token="<pad>", bos_token="<bos>", eos_token="<eos>", unk_token="<unk>")

    @property
    def vocab_size(self) -> int:
        return len(self._ids)

    def get_vocab(self) -> dict[str, int]:
        return dict(self._ids)

    def _tokenize(self, text: str, **kwargs: object) -> list[str]:
        spaced = text.lower().replace("?", " ? ").replace(":", " : ")
        return " ".join(spaced.split()).replace("new york", "new_york").split()

    def _convert_token_to_id(self, token: str) -> int:
        return self._ids.get(token, 3)

    def _convert_id_to_token(self, index: int) -> str:
        return list(self._ids)[index]

    def build_inputs_with_special_tokens(self, first: list[int], second: list[int] | None = None) -> list[int]:
        return [1, *first, *([2] if self._adds_eos else [])]


CHATML = """{%- for m in messages -%}
<|im_start|>{{ m.role }}
{{ m.content }}<|im_end|>
{% endfor -%}"""

THINKING = """{%- for m in messages -%}
<|im_start|>{{ m.role }}
{% if m.role == 'assistant' and loop.last -%}
<think>

</think>

{% endif -%}
{{ m.content.split('</think>')[-1].lstrip('\\n') }}<|im_end|>
{% endfor -%}"""
"""As Qwen3's: an empty thinking block before the last answer."""

BARE = "{% for m in messages %}{{ m.role }}: {{ m.content }}{% if not loop.last %}{{ '\\n' }}{% endif %}{% endfor %}"
"""Closes no turn."""

REFUSING = """{%- if messages[0].role == 'system' -%}{{ raise_exception('no system role') }}{%- endif -%}
{%- for m in messages -%}{{ m.content }}{%- endfor -%}"""
USER_ONLY = "{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}"


def with_template(template: str, tokenizer: PreTrainedTokenizerFast | None = None) -> PreTrainedTokenizerFast:
    """A character tokenizer (or the given one) with a chat template."""
    tokenizer = tokenizer or characters()
    tokenizer.chat_template = template
    return tokenizer
