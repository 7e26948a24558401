"""The user's question in prompts as another program's chat template wrote them, with special tokens or without."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import NamedTuple

from forgetting.core.record import Record
from forgetting.core.text import quoted

_TOKEN = r"</?[|｜]?[\w▁]{1,30}[|｜]?>"
_ANSWERER = r"(?:assistant|model|chatbot)"
_LINE = r"^(?:#+ ?)?"
_ANY = re.IGNORECASE | re.MULTILINE
_EDGE = re.compile(r"<[|｜][^<>|｜]{1,30}[|｜]>|</?s>|<(?:bos|eos|pad|(?:start|end)_of_\w{1,12})>")
"""Special tokens that may stand before and behind a question, and are no part of it."""
_FEWEST = 5
"""Different prompts from which on lines that all of them begin or end with are those of a template."""
_LONGEST = 160
"""Characters at the end of a prompt in which an answer is begun."""
_SENTENCE = re.compile(r"[^\W\d_]{3}[.!?]\s*|\n")
"""The end of a sentence, but not of what is abbreviated (U.S., Mt.)."""
_SENTENCE_END = re.compile(r"[.!?]\s*")


class Turns(NamedTuple):
    """How a family of templates begins a user's turn, and, at the end of a prompt, the answer that is wanted."""

    user: re.Pattern[str]
    answer: re.Pattern[str]


FAMILIES = (
    # A role between special tokens: ChatML, Llama 3 and 4, Gemma, Phi 4, Granite. The last token may also be one that
    # ends the user's turn.
    Turns(
        re.compile(rf"{_TOKEN}user(?:{_TOKEN}|\r?\n)", re.IGNORECASE),
        re.compile(rf"(?:{_TOKEN}{_ANSWERER}(?:{_TOKEN}\w{{0,10}}){{0,3}}|{_TOKEN})\Z", re.IGNORECASE),
    ),
    # Inside of one: Phi 3, Zephyr, Cohere, DeepSeek. A question in turns of the first kind may speak of these.
    Turns(
        re.compile(r"<[|｜]?user(?:_token)?[|｜]?>", re.IGNORECASE),
        re.compile(rf"(?:<[|｜]?{_ANSWERER}(?:_token)?[|｜]?>|{_TOKEN})\Z", re.IGNORECASE),
    ),
    # Llama 2 and Mistral.
    Turns(re.compile(r"\[INST\]|<</SYS>>"), re.compile(r"\[/INST\]\Z")),
    # What is left of the first family where special tokens were left out: a role on a line of its own, or behind the
    # end of another turn.
    Turns(
        re.compile(r"^user\r?\n|(?<=[^\w\s])user\r?\n|(?<=\S)user\r?\n(?=\r?\n)", re.MULTILINE),
        re.compile(rf"(?:^|(?<=\S)){_ANSWERER}\Z", re.MULTILINE),
    ),
    # Words with a colon: shots for base models, Alpaca, Vicuna. Each with its own answer, since options and dialogues
    # have such words too.
    *(
        Turns(re.compile(rf"{_LINE}(?:{user}):{glued}", _ANY), re.compile(rf"(?:{_LINE}(?:{answer}):{ended})\Z", _ANY))
        for user, answer, glued, ended in (
            ("question", "answer", "", ""),
            ("instruction", "response", "", ""),
            ("user|human", _ANSWERER, r"|(?-i:(?<!\w)USER:)", r"|(?-i:(?<!\w)ASSISTANT:)"),
            ("q", "a", "", ""),
        )
    ),
)
"""Looked for in this order, each in what the one before it found, since shots may stand in a user's turn."""


def asked_in(prompt: str) -> str:
    """The user's last question in a prompt as a chat template wrote it; another prompt as it is.

    Takes time linear in the prompt's length.
    """
    found = prompt
    for turns in FAMILIES:
        found = _last_turn(found, turns)
    return _without_tokens(found) if _EDGE.search(found) else found


def with_questions(records: Sequence[Record], known: Collection[str]) -> tuple[list[Record], list[str]]:
    """Records whose prompts are the questions alone, and lines on what was left out of all or could not be told apart.

    A system prompt that a template wrote into the user's turn cannot be seen in one prompt. Lines that all prompts of a
    split begin or end with are no part of a question, are left out, and are said.

    Args:
        records: with the prompts of a log.
        known: splits whose questions are known otherwise; their records stay as they are.
    """
    found, notes = list(records), list[str]()
    for split in dict.fromkeys(record.split for record in records if record.split not in known):
        places = [n for n, record in enumerate(records) if record.split == split and record.prompt]
        asked = [asked_in(records[n].prompt) for n in places]
        different, left = len({records[n].prompt for n in places}), len(set(asked))
        if 2 * left <= different:  # what tells them apart stands before the last turn
            notes.append(f"{split}: {different:,} different prompts end in {left:,} different questions; kept whole")
            continue
        whole = [a == records[n].prompt for a, n in zip(asked, places, strict=True)]
        asked, said = _without_common_lines(asked)
        notes += [f"{split}: {line}" for line in (*said, *_unclear(asked, whole))]
        for n, question in zip(places, asked, strict=True):
            found[n] = replace(records[n], prompt=question)
    return found, notes


def _last_turn(text: str, turns: Turns) -> str:
    """What stands between the last beginning of a user's turn and the answer that is wanted; else all of the text."""
    end = _before_thoughts(text)
    answer = turns.answer.search(text, max(0, end - _LONGEST), end)
    if answer is None:
        return text
    begins = 0
    for match in turns.user.finditer(text, 0, answer.start()):
        begins = match.end()
    question = _without_tokens(text[begins : answer.start()])
    return question if begins and question else text


def _before_thoughts(text: str) -> int:
    """Where a prompt ends, but for spaces and for thoughts that are begun or left empty for the model."""
    return len(text.rstrip().removesuffix("</think>").rstrip().removesuffix("<think>").rstrip())


def _without_tokens(text: str) -> str:
    start, end = 0, len(text)
    tokens = list(_EDGE.finditer(text))
    for token in tokens:
        if text[start : token.start()].strip():
            break
        start = token.end()
    for token in reversed(tokens):
        if token.start() < start or text[token.end() : end].strip():
            break
        end = token.start()
    return text[start:end].strip()


def _without_common_lines(asked: Sequence[str]) -> tuple[list[str], list[str]]:
    """The questions without whole lines that all begin or end with, and what these say."""
    before, behind = _shared(asked)
    start = before.rfind("\n") + 1
    stop = len(behind) - behind.find("\n") if "\n" in behind else 0
    if not start + stop or min(map(len, asked)) <= start + stop:
        return list(asked), []
    said = [
        f"all {len(asked):,} prompts {where} with {quoted(line.strip())}, which is left out of the questions"
        for where, line in (("begin", before[:start]), ("end", behind[len(behind) - stop :]))
        if line.strip()
    ]
    return [text[start : len(text) - stop].strip() for text in asked], said


def _unclear(asked: Sequence[str], whole: Sequence[bool]) -> list[str]:
    """Lines on prompts that may hold more than a question, and are kept."""
    before, behind = _shared(asked)
    first, last = list(_SENTENCE.finditer(before)), _SENTENCE_END.search(behind)
    kept = (("begin", before[: first[-1].end()] if first else ""), ("end", behind[last.end() :] if last else ""))
    found = [
        f"all {len(asked):,} prompts {where} with {quoted(text.strip())}, of no known template; kept"
        for where, text in kept
        if text.strip()
    ]
    lines = sum(same and "\n" in text for text, same in zip(asked, whole, strict=True))
    if lines:
        held = f"{lines:,} of {len(asked):,} prompts"
        found.append(f"{held} have several lines and no turn of a known template; kept whole")
    return found


def _shared(texts: Sequence[str]) -> tuple[str, str]:
    """What all texts begin and end with; nothing of too few different ones."""
    if len(set(texts)) < _FEWEST:
        return "", ""
    return _common(texts), _common([text[::-1] for text in texts])[::-1]


def _common(texts: Sequence[str]) -> str:
    low, high = min(texts), max(texts)
    pairs = zip(low, high, strict=False)
    return low[: next((n for n, (one, other) in enumerate(pairs) if one != other), min(len(low), len(high)))]
