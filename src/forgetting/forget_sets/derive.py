"""Has a model write retain text, questions, paraphrases and alternates for a forget set (`forget derive`)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from forgetting.benchmarks.registry import suite_model
from forgetting.core.digest import examples_digest
from forgetting.core.errors import DataError, RecipeError
from forgetting.core.example import Example
from forgetting.core.folder import check_replaceable, write_text, written_whole
from forgetting.core.progress import SILENT, Voice
from forgetting.data.derived import (
    FIELD,
    OPENINGS,
    Kept,
    Retained,
    answering,
    answering_otherwise,
    asking,
    is_supported,
    openings_of,
    question_in,
    saying_again,
    why_no_alternate,
    why_no_paraphrase,
)
from forgetting.data.examples import load_examples
from forgetting.data.pieces import in_pieces
from forgetting.data.reading import Heard, skipped_rows
from forgetting.data.source import Source
from forgetting.forget_sets.files import source_of
from forgetting.forget_sets.writer import Writer
from forgetting.models.devices import device_named
from forgetting.models.loading import load_model
from forgetting.training.stored_reference import fingerprint

NOTE = "Written by a model and checked by word overlap alone: no person has read it."
_ROUNDS = 4
"""At most so many times as many texts are drawn as are asked for, if some are dropped."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a model is asked to write."""

    retain: int = 200
    """Rows of retain text; 0: none."""
    questions: int = 1
    """Questions on each piece of a document; 0: none. A forget set of questions gets none."""
    paraphrases: int = 1
    """Paraphrases of each piece or question; 0: none."""
    alternates: int = 0
    """Other answers to each question, for methods that train on them; 0: none. Documents get none."""
    prompts: str | Source | None = None
    """Data that is not to be forgotten, such as neighbouring documents: retain text continues its first words."""
    tokens: int = 96
    """The most tokens that are written at once."""
    temperature: float = 0.7
    """Of questions, answers and paraphrases; 0: the most likely token each time."""
    seed: int = 0

    def check(self) -> None:
        """Raises RecipeError if nothing is asked for, or a number has no meaning."""
        asked = (self.retain, self.questions, self.paraphrases, self.alternates)
        if min(asked) < 0 or not any(asked):
            raise RecipeError(
                "nothing is asked for; give --retain, --questions, --paraphrases or --alternates a number above 0"
            )
        if self.tokens < 1:
            raise RecipeError(f"--tokens is {self.tokens}; give at least 1")
        if not 0 <= self.temperature < float("inf"):
            raise RecipeError(f"--temperature is {self.temperature:g}; give 0 or more")


def derive(
    forget: str | Source,
    model: str,
    out: Path,
    wanted: Wanted,
    *,
    dtype: str = "auto",
    device: str | None = None,
    voice: Voice = SILENT,
) -> dict[str, Any]:
    """Has a model write what a forget set lacks, into a folder that is whole or absent; returns the provenance.

    `retain.jsonl`: continuations of general openings, or of the first words of `prompts`, drawn from the model's own
    distribution. `questions.jsonl`: questions on each document with their answers. `paraphrases.jsonl`: each document,
    or each question with its own answer, in other words. `alternates.jsonl`: each question with other answers. Every
    row names the model, the way and its source text. Long documents are cut into pieces.

    Args:
        forget: the forget set.
        model: a folder, a hub id, or a suite's model.
        out: the folder to write.
        wanted: what the model is asked to write.
        dtype: of its weights.
        device: where it runs; None: the default device.
        voice: log lines and progress.

    Raises:
        ForgettingError: bad input, or nothing that the model wrote could be kept.
    """
    wanted.check()
    check_replaceable(out)
    source = source_of(forget)
    heard = Heard(voice.say)
    examples = load_examples(source, heard)
    _check_texts(examples)
    openings = OPENINGS if wanted.prompts is None else openings_of(load_examples(source_of(wanted.prompts), heard))
    loaded = load_model(suite_model(model), dtype=dtype, device=device_named(device))
    writer = Writer(loaded, wanted.tokens, wanted.seed)
    pieces = in_pieces(examples, loaded.tokenizer, writer.room)
    made = {"retain": _retain(writer, examples, openings, wanted.retain, model, voice)} if wanted.retain else {}
    made |= _of_pieces(writer, pieces, wanted, model, voice)
    if not any(kept.rows for kept in made.values()):
        raise DataError(
            f"{model}: nothing that it wrote can be used ({_why(made)}); give --model one that follows text"
        )
    read = {"examples": len(examples), "pieces": len(pieces), "sha256": examples_digest(examples)}
    provenance = {
        "note": NOTE,
        "by": {"model": model, "weights": fingerprint(loaded.model), "dtype": str(loaded.model.dtype)},
        "forget": {"source": str(source), **read},
        "settings": asdict(replace(wanted, prompts=None if wanted.prompts is None else str(wanted.prompts))),
        "made": {name: {"kept": len(kept.rows), "dropped": kept.dropped} for name, kept in made.items()},
        "forgetting": version("forgetting"),
    }
    _write(out, made, provenance, heard)
    return provenance | {"files": [str(out / f"{name}.jsonl") for name, kept in made.items() if kept.rows]}


def _of_pieces(writer: Writer, pieces: Sequence[Example], wanted: Wanted, model: str, voice: Voice) -> dict[str, Kept]:
    """The questions on documents, the paraphrases, and other answers to questions."""
    made: dict[str, Kept] = {}
    documents = [e for e in pieces if not e.prompt]
    if wanted.questions and documents:
        made["questions"] = _questions(writer, documents, wanted, model, voice)
    if wanted.paraphrases:
        made["paraphrases"] = _paraphrases(writer, pieces, wanted, model, voice)
    questions = [e for e in pieces if e.prompt]
    if wanted.alternates and questions:
        made["alternates"] = _alternates(writer, questions, wanted, model, voice)
    return made


def _write(out: Path, made: Mapping[str, Kept], provenance: Mapping[str, Any], heard: Heard) -> None:
    with written_whole(out) as folder:
        if heard.skipped:
            write_text(folder / "skipped.jsonl", skipped_rows(heard.skipped))
        for name, kept in made.items():
            if kept.rows:
                lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept.rows)
                write_text(folder / f"{name}.jsonl", lines)
        write_text(folder / "provenance.json", json.dumps(provenance, ensure_ascii=False, indent=1) + "\n")


def _check_texts(examples: Sequence[Example]) -> None:
    ids = next((e for e in examples if e.form == "tokens"), None)
    if ids is not None:
        raise DataError(f"{ids.where or ids.id}: holds token ids, which cannot be asked about; give the text")


def _about(model: str, how: str, source: str) -> dict[str, object]:
    return {"by": model, "how": how, "from": source}


def _retain(
    writer: Writer, forget: Sequence[Example], openings: Sequence[str], count: int, model: str, voice: Voice
) -> Kept:
    found = Retained(forget)
    for turn in range(_ROUNDS):
        missing = count - len(found.kept.rows)
        if not missing:
            break
        asked = [openings[(turn * count + i) % len(openings)] for i in range(missing)]
        texts = writer.continuations(asked, what=f"retain text, round {turn + 1}", voice=voice)
        for opening, (text, ended) in zip(asked, texts, strict=True):
            found.add(opening, text, ended, _about(model, "continuation, temperature 1", opening))
    if len(found.kept.rows) < count:
        voice.say(f"warning: {len(found.kept.rows)} of {count} retain texts; {_why({'retain': found.kept})}")
    return found.kept


def _questions(writer: Writer, documents: Sequence[Example], wanted: Wanted, model: str, voice: Voice) -> Kept:
    kept, temperature = Kept(), wanted.temperature
    asked = [(e, n) for e in documents for n in range(1, wanted.questions + 1)]
    wrote = writer.answers(
        [asking(e.response) for e, _ in asked], temperature=temperature, what="questions", voice=voice
    )
    usable: list[tuple[Example, int, str]] = []
    known: set[tuple[str, str]] = set()
    for (example, n), text in zip(asked, wrote, strict=True):
        question = question_in(text)
        if question is None:
            kept.drop("no question")
        elif (example.id, question.casefold()) in known:
            kept.drop("repeats another")
        else:
            known.add((example.id, question.casefold()))
            usable.append((example, n, question))
    answers = writer.answers(
        [answering(e.response, question) for e, _, question in usable],
        temperature=temperature,
        what="answers",
        voice=voice,
    )
    for (example, n, question), answer in zip(usable, answers, strict=True):
        if not is_supported(answer, example.response):
            kept.drop("the answer is not of the text")
            continue
        row = {"id": f"{example.id}#q{n}", "group": example.cluster, "prompt": question, "response": answer}
        kept.rows.append(row | {FIELD: _about(model, f"question and answer, temperature {temperature:g}", example.id)})
    return kept


def _paraphrases(writer: Writer, examples: Sequence[Example], wanted: Wanted, model: str, voice: Voice) -> Kept:
    kept, temperature = Kept(), wanted.temperature
    asked = [(e, n) for e in examples for n in range(1, wanted.paraphrases + 1)]
    said = [saying_again(e.prompt or e.response) for e, _ in asked]
    for (example, n), text in zip(
        asked, writer.answers(said, temperature=temperature, what="paraphrases", voice=voice), strict=True
    ):
        why = why_no_paraphrase(text, example.prompt or example.response)
        if why is not None:
            kept.drop(why)
            continue
        row: dict[str, object] = {"id": f"{example.id}#p{n}", "group": example.cluster}
        row |= {"prompt": text, "response": example.response} if example.prompt else {"text": text}
        kept.rows.append(row | {FIELD: _about(model, f"paraphrase, temperature {temperature:g}", example.id)})
    return kept


def _alternates(writer: Writer, questions: Sequence[Example], wanted: Wanted, model: str, voice: Voice) -> Kept:
    kept, temperature = Kept(), wanted.temperature
    asked = [(e, n) for e in questions for n in range(1, wanted.alternates + 1)]
    prompts = [answering_otherwise(e.prompt, e.response) for e, _ in asked]
    known: set[tuple[str, str]] = set()
    wrote = writer.answers(prompts, temperature=temperature, what="alternates", voice=voice)
    for (example, n), text in zip(asked, wrote, strict=True):
        why = why_no_alternate(text, example.response)
        if why is None and (example.id, text.casefold()) in known:
            why = "repeats another"
        if why is not None:
            kept.drop(why)
            continue
        known.add((example.id, text.casefold()))
        row: dict[str, object] = {"id": f"{example.id}#a{n}", "prompt": example.prompt, "response": text}
        kept.rows.append(row | {FIELD: _about(model, f"alternate, temperature {temperature:g}", example.id)})
    return kept


def _why(made: Mapping[str, Kept]) -> str:
    said = [f"{name}: {n} {why}" for name, kept in made.items() for why, n in kept.dropped.items()]
    return "; ".join(said) or "it wrote nothing"
