"""What the harness answers in memory makes the records that are taken here, whatever the tokenizer does at borders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from forgetting.benchmarks.harness_export.asked import Asked, asked
from forgetting.benchmarks.harness_export.requests import read, scoring
from forgetting.benchmarks.lab.suite import BASE, lab_suite
from forgetting.benchmarks.suite import Split
from forgetting.benchmarks.untrained_model import blank_model
from forgetting.core.example import Example
from forgetting.core.record import Record
from forgetting.data.formatting import Formatting
from forgetting.evaluation.answers import answer
from forgetting.evaluation.extraction import extract
from forgetting.models.loading import load_model
from tests.conftest import write_rows

pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed: pip install -e '.[harness]'")

CHAT = "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}</s>\n{% endfor %}<|assistant|>\n"
QUESTIONS = tuple(
    Example(
        id=str(i),
        prompt=f"Where does guest {i} live?",
        response=f"In house {i} of lane {i}.",
        paraphrased=f"Lane {i}, house {i}.",
        perturbed=(f"In house {i + 1}.", "Nowhere"),
    )
    for i in range(4)
)


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model whose vocabulary has nearly only bytes: the space before an answer is a token of its own."""
    folder = tmp_path_factory.mktemp("blank")
    file = write_rows(folder / "rows.jsonl", [{"question": e.prompt, "answer": e.response} for e in QUESTIONS])
    blank_model(folder / "model", [file], hidden=32, layers=2, vocabulary=310)
    return folder / "model"


def answered(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, some: Sequence[Asked]) -> list[Record]:
    """The records of what lm-evaluation-harness's own model class answers."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    lm = HFLM(pretrained=model, tokenizer=tokenizer, backend="causal", batch_size=2, max_length=256)
    found: dict[tuple[int, int], Any] = {}
    for kind in ("loglikelihood", "generate_until"):
        places = [(i, n) for i, one in enumerate(some) for n, r in enumerate(one.requests) if r.kind == kind]
        requests = [
            Instance(request_type=kind, doc={}, arguments=some[i].requests[n].arguments, idx=n, metadata=("x", i, 1))
            for i, n in places
        ]
        found.update(zip(places, getattr(lm, kind)(requests) if requests else [], strict=True))
    return [one.read([found[i, n] for n in range(len(one.requests))]) for i, one in enumerate(some)]


@pytest.mark.parametrize("chat", [None, CHAT])
def test_answers_to_questions_are_those_of_the_evaluation(blank: Path, chat: str | None) -> None:
    loaded = load_model(blank, dtype="float32")
    model, tokenizer = loaded.model, loaded.tokenizer
    tokenizer.chat_template = chat
    split = Split(name="forget", examples=QUESTIONS, max_new_tokens=9)
    some = asked(split, tokenizer, Formatting(), 256)
    assert all(one.same for one in some)
    assert len(some[0].requests) > 4 + 1, "some context ends in white space, which is asked for by itself"
    theirs = answered(model, tokenizer, some)
    ours = answer(model, tokenizer, QUESTIONS, split="forget", formatting=Formatting(), max_new_tokens=9)
    assert_alike(theirs, ours)


def test_white_space_between_prompt_and_answer_is_taken_off(blank: Path) -> None:
    tokenizer = load_model(blank, dtype="float32").tokenizer
    prompt, answer = "Question: Q?\nAnswer: ", "Nowhere"
    first = len(read(prompt, tokenizer))
    way = scoring(read(prompt + answer, tokenizer), first, tokenizer)
    contexts = [request.arguments for request in way.requests]
    assert contexts == [("Question: Q?\nAnswer:", " Nowhere"), ("Question: Q?\nAnswer:", " ")]
    assert way.same and way.score([(-5.0, False), (-2.0, True)]).logp == -3.0


def test_passages_are_those_of_the_extraction() -> None:
    loaded = load_model(BASE, dtype="float32")
    notes = next(s for s in lab_suite().splits if s.name == "secrets").examples
    passages = tuple(replace(e, max_tokens=14) for e in notes[:: len(notes) // 3][:2])
    split = Split(name="forget", examples=passages, generate=False, extraction=(3, 10))
    some = asked(split, loaded.tokenizer, Formatting(), 256)
    assert all(one.same for one in some)
    theirs = answered(loaded.model, loaded.tokenizer, some)
    ours = extract(loaded.model, loaded.tokenizer, passages, split="forget", n=(3, 10))
    for their, our in zip(theirs, ours, strict=True):
        assert their.score is not None and our.score is not None
        assert their.score.probability == pytest.approx(our.score.probability, abs=1e-6)
        assert [rank == 0 for rank in their.score.ranks] == [rank == 0 for rank in our.score.ranks]
        assert their.extraction == our.extraction
    assert any(value for our in ours for value in our.extraction[3]), "the model recites some of it"


def test_texts_are_scored_from_their_second_token_on(blank: Path) -> None:
    loaded = load_model(blank, dtype="float32")
    texts = tuple(Example(id=str(i), form="text", response=f"Guest {i} lives in a house.") for i in range(3))
    split = Split(name="retain", examples=texts, generate=False)
    some = asked(split, loaded.tokenizer, Formatting(), 256)
    ours = answer(loaded.model, loaded.tokenizer, texts, split="retain", formatting=Formatting(), max_new_tokens=0)
    assert_alike(answered(loaded.model, loaded.tokenizer, some), ours)


def test_a_text_that_the_harness_cuts_otherwise_is_counted_and_still_scored_as_the_harness_does(blank: Path) -> None:
    tokenizer = load_model(blank, dtype="float32").tokenizer
    ids = read(" a b", tokenizer)
    way = scoring(ids, 1, tokenizer)  # before the first scored token there is only white space
    assert not way.same and len(way.requests) == 1
    assert not scoring(read("Guest lives", tokenizer), 2, tokenizer, positions=3).same
    assert scoring(read("Guest lives", tokenizer), 2, tokenizer, positions=400).same


def test_texts_that_were_seen_or_not_cannot_be_asked(blank: Path) -> None:
    tokenizer = load_model(blank, dtype="float32").tokenizer
    assert asked(Split(name="x", examples=QUESTIONS, membership=(0.4,)), tokenizer, Formatting()) == []


def assert_alike(theirs: Sequence[Record], ours: Sequence[Record]) -> None:
    for their, our in zip(theirs, ours, strict=True):
        assert (their.id, their.generation) == (our.id, our.generation)
        for one, other in zip(scores(their), scores(our), strict=True):
            assert one.tokens == other.tokens
            assert one.probability == pytest.approx(other.probability, abs=1e-6)
    logps = torch.tensor([score.logp for our in ours for score in scores(our)])
    assert len(set(logps.tolist())) > len(ours) // 2, "the answers differ"


def scores(record: Record) -> list[Any]:
    return [s for s in (record.score, record.paraphrase, *record.perturbed) if s is not None]
