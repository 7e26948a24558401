"""A model that writes text: its prompts and its answers."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import GenerationConfig

from forgetting.core.errors import ModelError
from forgetting.core.progress import Voice
from forgetting.data.chat import Template
from forgetting.data.tokens import check_ids
from forgetting.evaluation.endings import Ending
from forgetting.models.head import longest_row
from forgetting.models.loading import LoadedModel

_BATCH = 16
_LONGEST = 2048
_LEAST_ROOM = 16
_THOUGHT = "</think>"


@dataclass(frozen=True)
class Writer:
    """A model, how many tokens it may write at once, and the seed that it draws by."""

    loaded: LoadedModel
    tokens: int
    seed: int

    @property
    def room(self) -> int:
        """How many tokens a text may have for which something is to be written.

        Raises:
            ModelError: the model is made for too few positions.
        """
        positions = longest_row(self.loaded.model) or _LONGEST
        left = min(positions, _LONGEST) - 2 * self.tokens - len(self._asked("Say it in other words. " * 4))
        if left < _LEAST_ROOM:
            raise ModelError(
                f"{self.loaded.source}: made for {positions} positions, which leave no room for a text beside "
                f"{self.tokens} tokens to write; lower --tokens"
            )
        return left

    def answers(self, asked: Sequence[tuple[str, str]], *, temperature: float, what: str, voice: Voice) -> list[str]:
        """What the model answers to each (instruction, the same as the start of a text for models without template)."""
        chat = self.loaded.tokenizer.chat_template is not None
        prompts = [self._asked(instruction) if chat else self._ids(start) for instruction, start in asked]
        found = self.written(prompts, temperature=temperature, what=what, voice=voice)
        texts = [text.rpartition(_THOUGHT)[2].strip() for text, _ in found]
        return texts if chat else [text.split("\n")[0].strip() for text in texts]

    def continuations(self, openings: Sequence[str], *, what: str, voice: Voice) -> list[tuple[str, bool]]:
        """The model's continuation of each opening, drawn from its own distribution, and whether it ended."""
        return self.written([self._ids(o) for o in openings], temperature=1.0, what=what, voice=voice)

    @torch.no_grad()
    def written(
        self, prompts: Sequence[tuple[int, ...]], *, temperature: float, what: str, voice: Voice
    ) -> list[tuple[str, bool]]:
        """The text after each prompt, and whether it ends; at temperature 0 the most likely token each time.

        Prompts of one length go together, and every such batch has a seed of its own.
        """
        model = self.loaded.model
        ending = Ending.of(model, self.loaded.tokenizer)
        lengths: defaultdict[int, list[int]] = defaultdict(list)
        for index, prompt in enumerate(prompts):
            lengths[len(prompt)].append(index)
        batches = [same[i : i + _BATCH] for same in lengths.values() for i in range(0, len(same), _BATCH)]
        drawn = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0} if temperature else {}
        config = GenerationConfig(
            **{"do_sample": False, **drawn},
            max_new_tokens=self.tokens,
            pad_token_id=self.loaded.pad_id,
            eos_token_id=list(ending.ids) or None,
        )
        found: dict[int, tuple[str, bool]] = {}
        for number, batch in enumerate(batches):
            ids = torch.tensor([prompts[i] for i in batch], device=model.device)
            with torch.random.fork_rng():
                torch.manual_seed(zlib.crc32(f"{self.seed} {what} {number}".encode()))
                rows = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=config)
            for index, row in zip(batch, rows[:, ids.shape[1] :].tolist(), strict=True):
                found[index] = (ending.text_of(row), any(token in ending.ids for token in row))
            voice.progress(len(found), len(prompts), what)
        return [found[index] for index in range(len(prompts))]

    def _ids(self, text: str) -> tuple[int, ...]:
        ids = list(self.loaded.tokenizer(text).input_ids)
        end = self.loaded.tokenizer.eos_token_id
        ids = ids[:-1] if len(ids) > 1 and ids[-1] == end else ids  # what the tokenizer adds: nothing would follow it
        if not ids:
            start = self.loaded.tokenizer.bos_token_id
            ids = [start if start is not None else self.loaded.pad_id]
        check_ids(ids, self.loaded.tokenizer, f"'{text[:40]}'")
        return tuple(ids)

    def _asked(self, instruction: str) -> tuple[int, ...]:
        tokenizer = self.loaded.tokenizer
        if tokenizer.chat_template is None:
            return self._ids(instruction)
        text = Template(tokenizer, "a question to the model").opened([{"role": "user", "content": instruction}])
        ids = tuple(tokenizer(text, add_special_tokens=False).input_ids)
        check_ids(ids, tokenizer, f"'{instruction[:40]}'")
        return ids
