"""Task files of one's own and a model with an adapter to ask, for the tests of the harness."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import yaml
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import PreTrainedTokenizerFast

from tests.models.tiny import WORDS, tiny_model


def adapted(*, dropout: float = 0.0, seed: int = 5) -> nn.Module:
    """A random Llama, its head tied to its embedding, with a LoRA adapter that changes its answers."""
    model = tiny_model("llama", tied=True)
    config = LoraConfig(r=4, lora_alpha=16, lora_dropout=dropout, target_modules=["q_proj", "v_proj", "down_proj"])
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        wrapped = get_peft_model(model, config)
        for name, parameter in wrapped.named_parameters():
            if "lora_B" in name:
                nn.init.normal_(parameter, std=0.3)
    return wrapped


def question(i: int) -> str:
    return f"the {WORDS[2 + i % 4]} {WORDS[6 + i % 3]} {WORDS[14 + i % 3]} w{40 + i}"


def greedy(model: nn.Module, tokenizer: PreTrainedTokenizerFast, text: str, tokens: int) -> str:
    ids = torch.tensor([tokenizer.encode(text)])
    for _ in range(tokens):
        ids = torch.cat([ids, model(input_ids=ids).logits[:, -1:].argmax(-1)], 1)
    return tokenizer.decode(ids[0, -tokens:], skip_special_tokens=True)


def write_task(folder: Path, name: str, rows: list[dict], **keys: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / f"{name}.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(data)}, "cache_dir": str(folder.parent / "cache")},
        "test_split": "test",
        "doc_to_text": "{{question}}",
        **keys,
    }
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump(task))
    return file


def metric(name: str, better: bool, aggregation: str = "mean") -> dict[str, Any]:
    return {"metric": name, "aggregation": aggregation, "higher_is_better": better}
