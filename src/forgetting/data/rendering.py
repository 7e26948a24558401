"""Examples → the text that a model will see, with the characters of it that are supervised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from transformers import PreTrainedTokenizerBase

from forgetting.core.errors import DataError
from forgetting.core.example import Example
from forgetting.data.chat import Chat, Span, Template
from forgetting.data.formatting import Formatting
from forgetting.data.shots import Shot


@dataclass(frozen=True, slots=True)
class Rendered:
    """A text as the model will see it, and which of its characters are supervised."""

    text: str
    spans: tuple[Span, ...]
    answer: Span
    """The characters of the response."""
    special: bool
    """Whether the tokenizer adds its BOS and EOS."""
    end: bool
    """Whether the end token is added and supervised after the response (where no template closes the turn)."""

    follows: str = ""
    """What the text is tokenised before and is not part of it: many tokenizers cut a line break otherwise at an end."""

    @classmethod
    def joined(cls, before: str, response: str, *, end: bool) -> Rendered:
        """A response behind what precedes it, without a template."""
        place = (len(before), len(before) + len(response))
        return cls(before + response, (place,), place, special=True, end=end)

    def closed(self, closing: str, follows: str) -> Rendered:
        """The same, ended by a text that is supervised too, as before what would follow it in a longer prompt."""
        text = self.text + closing
        return replace(self, text=text, spans=((self.spans[0][0], len(text)),), end=False, follows=follows)

    @property
    def before(self) -> str:
        """The text before the response."""
        return self.text[: self.answer[0]]

    @property
    def response(self) -> str:
        """The response as it is in the text."""
        return self.text[slice(*self.answer)]


def render(
    example: Example, tokenizer: PreTrainedTokenizerBase, formatting: Formatting, *, every: bool = False
) -> Rendered:
    """The text of an example as the model will see it; `every`: all answers of a conversation are supervised.

    Raises:
        DataError: a template is asked for or needed and there is none, or it cannot write the example.
    """
    if example.form == "text":
        return Rendered.joined(example.prompt, example.response, end=not example.prompt)
    where = example.where or example.id
    if formatting.template == "chat" and getattr(tokenizer, "chat_template", None) is None:
        raise DataError(
            "format.template is 'chat', but the tokenizer has no chat template; write 'plain', or give it one"
        )
    shots = () if formatting.shots is None else formatting.shots.before(example)
    if not formatting.is_plain(tokenizer):
        return _in_turns(example, shots, Template(tokenizer, where, formatting.date), formatting, every=every)
    if example.context:
        raise DataError(
            f"{where}: a conversation of several turns needs a chat template; write "
            "format.template=auto, and give the tokenizer one"
        )
    shown = "".join(f"{_asked(s.prompt, formatting)}{s.response}{formatting.separator}" for s in shots)
    found = Rendered.joined(shown + _asked(example.prompt, formatting), example.response.strip(), end=True)
    if formatting.closing is None:
        return found
    return found.closed(formatting.closing, _asked("A", formatting))


def _asked(prompt: str, formatting: Formatting) -> str:
    """A question without a chat template, up to where its answer begins."""
    return formatting.plain.replace("{prompt}", prompt) + formatting.prefix


def _in_turns(
    example: Example, shots: Sequence[Shot], template: Template, formatting: Formatting, *, every: bool
) -> Rendered:
    """An example in a chat template, behind the shots as earlier turns."""
    own = [{"role": str(m.role), "content": m.content} for m in example.context]
    head = [own.pop(0)] if own and own[0]["role"] == "system" else []
    if formatting.system is not None and not head:
        head = [{"role": "system", "content": formatting.system}]
    for shot in shots:
        head.append({"role": "user", "content": shot.prompt})
        head.append({"role": "assistant", "content": formatting.prefix + shot.response})
    content = formatting.prefix + example.response.strip() if formatting.prefix else example.response
    turns = [*head, *own, {"role": "user", "content": example.prompt}, {"role": "assistant", "content": content}]
    first = len(turns) - 1 if not every else len(head) if shots else 0
    chat = template.chat(turns, first=first)
    spans, answer = chat.spans, chat.answer
    if formatting.prefix:
        begin = _behind(chat, formatting.prefix.lstrip(), template)
        spans, answer = (*spans[:-1], (begin, spans[-1][1])), (begin, answer[1])
    return Rendered(chat.text, spans, answer, special=False, end=not chat.closed)


def _behind(chat: Chat, prefix: str, template: Template) -> int:
    """Where the answer goes on after its prefix."""
    begin = chat.text.find(prefix, *chat.answer)
    if begin < 0:
        raise DataError(
            f"{template.where}: {template.name} writes the beginning of the answer otherwise than format.prefix; "
            "leave format.prefix out"
        )
    return begin + len(prefix)
