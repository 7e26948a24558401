"""Real pretrained models with LoRA: the ways to take a step and to evaluate, and the process that measures one of them.

floor   the step's tokens in rows of one length, so that nothing is padded; body once, the head on supervised positions
        only, cross-entropy: what no method on two roles can undercut
ours    the Trainer's own step; `evaluation.answers`
plain   transformers and PEFT as they are usually called: a forward per role, padded to its longest row, the full logits
        of the model's own forward, the reference with the adapter disabled; for questions, a forward and `generate`
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from bench.process import Clock, Elapsed, Memory
from bench.step_arms import METHODS, ROLES, Forward, Rows, plain_loss
from forgetting.benchmarks.registry import get_suite, shipped_models
from forgetting.core.duration import Duration
from forgetting.core.example import Example
from forgetting.data.encode import Encoded, encode
from forgetting.data.formatting import Formatting
from forgetting.evaluation.answers import answer, padding_id
from forgetting.models.adapters import AdapterSpec, attach
from forgetting.objectives.methods import build_method
from forgetting.training.loop import Trainer
from forgetting.training.reference import LiveReference, no_reference
from forgetting.training.settings import Optimisation
from forgetting.training.stage import Hooks

ARMS = ("floor", "ours", "plain")
MODELS = ("gemma-3-270m", "smollm2-135m")
FOLDER = "FORGETTING_MODELS"
"""The environment variable that names the folder of the models."""
DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "duet"
"""Rows with `question` and `answer`, beside the repository."""
FILES = {"forget": "city_forget_rare_5.jsonl", "retain": "city_fast_retain_500.jsonl"}
RANK, TARGETS = 32, ("q_proj", "k_proj", "v_proj", "o_proj")


@dataclass(frozen=True)
class Load:
    """How much is done."""

    model: str
    rows: int = 32
    """Per role and step."""
    questions: int = 120
    new_tokens: int = 32
    threads: int = 2
    warm_up: int = 1
    steps: int = 3


@dataclass(frozen=True)
class RealSample:
    """One process's measurement of steps, or of one evaluation."""

    model: str
    what: str
    arm: str
    times: tuple[Elapsed, ...]
    peak_mib: float | None
    """Above the loaded model with its adapter."""
    losses: tuple[float, ...] = ()
    texts: tuple[str, ...] = ()


def measure_step(arm: str, method: str, load: Load) -> RealSample:
    """Times some steps of one arm. To be called in a fresh process."""
    torch.set_num_threads(load.threads)
    torch.manual_seed(0)
    model, tokenizer = loaded(load.model)
    data = {role: rows(load, role, tokenizer) for role in ROLES}
    pad_id = padding_id(tokenizer)
    with tempfile.TemporaryDirectory() as folder:
        if arm == "ours":
            fitted = attach(model, AdapterSpec(rank=RANK, targets=TARGETS), name="bench", seed=0)
            step = ours(fitted, data, method, load, pad_id, Path(folder))
        else:
            step = plain(model, data, method, pad_id) if arm == "plain" else floor(model, data)
        memory, losses, times = Memory(), [], []
        for _ in range(load.warm_up + load.steps):
            clock = Clock()
            losses.append(step())
            times.append(clock.read())
    return RealSample(load.model, method, arm, tuple(times[load.warm_up :]), memory.peak_mib(), tuple(losses))


def measure_evaluation(arm: str, load: Load) -> RealSample:
    """Times likelihoods and greedy answers of the forget questions by one arm. To be called in a fresh process."""
    torch.set_num_threads(load.threads)
    model, tokenizer = loaded(load.model)
    asked = examples(load.model, "forget", load.questions)
    memory, clock = Memory(), Clock()
    with torch.no_grad():
        if arm == "ours":
            records = answer(model, tokenizer, asked, split="", formatting=Formatting(), max_new_tokens=load.new_tokens)
            texts = [str(record.generation).strip() for record in records]
        else:
            texts = _plain_answers(model, tokenizer, asked, load)
    return RealSample(load.model, "evaluation", arm, (clock.read(),), memory.peak_mib(), (), tuple(texts))


def loaded(name: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A model in fp32 and its tokenizer; `lab` is the shipped one."""
    folder = shipped_models().get(name) or Path(os.environ[FOLDER]) / name
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), AutoTokenizer.from_pretrained(folder)


def examples(model: str, role: str, count: int) -> list[Example]:
    """The first questions of a role; the lab's model is asked the lab's."""
    if model == "lab":
        return list(next(split.examples for split in get_suite("lab").splits if split.name == role))[:count]
    with (DATA / FILES[role]).open(encoding="utf-8") as lines:
        found = [json.loads(line) for line in lines][:count]
    return [Example(id=f"{role}-{i}", prompt=r["question"], response=r["answer"]) for i, r in enumerate(found)]


def rows(load: Load, role: str, tokenizer: PreTrainedTokenizerBase) -> list[Encoded]:
    """The same as token ids."""
    return [encode(example, tokenizer, Formatting()) for example in examples(load.model, role, load.rows)]


def ours(
    fitted: PreTrainedModel | PeftModel,
    data: dict[str, list[Encoded]],
    method: str,
    load: Load,
    pad_id: int,
    folder: Path,
) -> Callable[[], float]:
    """The Trainer's step on a model with its adapter; the reference is the model without it."""
    objective = build_method(method, METHODS.get(method, {}))
    steps = load.warm_up + load.steps
    settings = Optimisation(batch_size=load.rows, duration=Duration(steps, "steps"), collapse_at=None)
    losses: list[float] = []
    reference = LiveReference(fitted, objective) if objective.needs_reference else no_reference
    hooks = Hooks(track=lambda values, step: losses.append(values["loss"]))
    trainer = Trainer(
        fitted, objective, data, settings, folder=folder, pad_id=pad_id, seed=0, reference=reference, hooks=hooks
    )
    numbers = iter(range(steps))

    def step() -> float:
        trainer._step(next(numbers))
        return losses[-1]

    return step


def with_lora(
    model: PreTrainedModel, targets: str | Sequence[str] = TARGETS
) -> tuple[PeftModel, torch.optim.Optimizer]:
    """PEFT's own adapter, and AdamW on it."""
    named = targets if isinstance(targets, str) else list(targets)
    config = LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=named, task_type="CAUSAL_LM")
    fitted = get_peft_model(model, config)
    settings = Optimisation()
    trained = [p for p in fitted.parameters() if p.requires_grad]
    return fitted, torch.optim.AdamW(trained, lr=settings.learning_rate, weight_decay=settings.weight_decay)


def padded(encoded: Sequence[Encoded], pad_id: int, device: torch.device | str = "cpu") -> Rows:
    """One role's rows as a collator gives them: padded on the right, which causal attention never reads."""
    longest = max(len(e.ids) for e in encoded)
    ids_BT = torch.full((len(encoded), longest), pad_id)
    labels_BT = torch.full_like(ids_BT, -100)
    for row, e in enumerate(encoded):
        ids_BT[row, : len(e.ids)] = torch.tensor(e.ids)
        wanted = [i if w else -100 for i, w in zip(e.ids[1:], e.weights[1:], strict=True)]
        labels_BT[row, : len(wanted)] = torch.tensor(wanted)
    return Rows(ids_BT.to(device), labels_BT.to(device))


LossOf = Callable[[str, Forward, Forward, Rows, Rows], Tensor]
"""Method, model and reference, forget and retain rows -> the method's loss; see `plain_loss`."""


def plain(
    model: PreTrainedModel,
    data: dict[str, list[Encoded]],
    method: str,
    pad_id: int,
    targets: str | Sequence[str] = TARGETS,
    loss_of: LossOf = plain_loss,
) -> Callable[[], float]:
    """A step as transformers and PEFT are usually called, with the loss on whole logits unless another is given."""
    fitted, optimizer = with_lora(model, targets)
    forget, retain = (padded(data[role], pad_id, model.device) for role in ROLES)

    def before(**inputs: Any) -> Any:
        with fitted.disable_adapter():
            return fitted(**inputs)

    def step() -> float:
        loss = loss_of(method, fitted, before, forget, retain)
        loss.backward()
        nn.utils.clip_grad_norm_(fitted.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    return step


def floor(
    model: PreTrainedModel, data: dict[str, list[Encoded]], targets: str | Sequence[str] = TARGETS
) -> Callable[[], float]:
    """Cross-entropy of all roles' supervised tokens at once, in rows of one length."""
    fitted, optimizer = with_lora(model, targets)
    every = [e for role in ROLES for e in data[role]]
    length = round(sum(len(e.ids) for e in every) / len(every))
    flat, marks = ([x for e in every for x in part(e)] for part in (lambda e: e.ids, lambda e: e.weights))
    count = len(flat) // length
    ids_BT = torch.tensor(flat[: count * length], device=model.device).view(count, length)
    asked_BT = torch.tensor(marks[: count * length], device=model.device).view(count, length) != 0
    body, head = fitted.get_base_model().base_model, fitted.get_base_model().get_output_embeddings()

    def step() -> float:
        hidden_BTD = body(input_ids=ids_BT, use_cache=False).last_hidden_state
        loss = F.cross_entropy(head(hidden_BTD[asked_BT]), ids_BT[asked_BT])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    return step


def _plain_answers(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, asked: Sequence[Example], load: Load
) -> list[str]:
    """Batches of 16 in the given order: full logits of question and answer, then `generate` after the question."""
    encoded, pad_id, texts = [encode(e, tokenizer, Formatting()) for e in asked], padding_id(tokenizer), []
    model.eval()
    for begin in range(0, len(encoded), 16):
        batch = encoded[begin : begin + 16]
        whole = padded(batch, pad_id)
        logits_BTV = model(input_ids=whole.input_ids_BT, use_cache=False).logits
        F.cross_entropy(logits_BTV.flatten(0, 1), whole.labels_BT.flatten(), reduction="none")
        prompts = [e.prompt_ids for e in batch]
        longest = max(map(len, prompts))
        ids_BT = torch.tensor([[pad_id] * (longest - len(p)) + list(p) for p in prompts])
        mask_BT = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts])
        written = model.generate(
            input_ids=ids_BT,
            attention_mask=mask_BT,
            max_new_tokens=load.new_tokens,
            do_sample=False,
            pad_token_id=pad_id,
        )
        texts += [t.strip() for t in tokenizer.batch_decode(written[:, longest:], skip_special_tokens=True)]
    return texts
