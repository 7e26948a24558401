"""AlpacaEval: its 805 prompts, and the file of a model's outputs that its own command judges.

Source: Li et al., AlpacaEval: an automatic evaluator of instruction-following models (tatsu-lab/alpaca_eval);
Forget-to-Focus, section A.2 and table 5.

Judging asks a paid model and is AlpacaEval's own business, in an environment of its own (its reference outputs are a
dataset script, which `datasets` reads up to version 3):

    pip install alpaca-eval "datasets<4"
    alpaca_eval --model_outputs outputs.json                                   # length-controlled win rate
    alpaca_eval --model_outputs outputs.json --annotators_config lmsys_gpt4    # the judge of Forget-to-Focus
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from forgetting.core.errors import DataError
from forgetting.core.text import names, shown
from forgetting.data.files import Row, read_rows
from forgetting.data.source import Source

HUB, FILE = "tatsu-lab/alpaca_eval", "alpaca_eval_gpt4_baseline.json"
"""The reference outputs that AlpacaEval 2 compares with, and joins to a model's by the text of the instruction."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """An instruction, verbatim, its part of the evaluation set, and its file and line."""

    instruction: str
    dataset: str
    where: str


def load_prompts(file: str | None = None, *, limit: int | None = None) -> list[Prompt]:
    """The prompts of a file with `instruction` and perhaps `dataset` in each row; None: AlpacaEval's, from the hub.

    Args:
        file: of any kind that data are read from; AlpacaEval's own is a JSON list.
        limit: only the first so many.

    Raises:
        DataError: the hub cannot be reached, the file is missing or holds no prompts, a row has no instruction.
    """
    source = Source(path=file or _fetched())
    name = "alpaca_eval" if file is None else file
    found = [_prompt(row, where, name) for where, row in read_rows(source)][:limit]
    if not found:
        raise DataError(f"{file}: holds no prompts; give a list of objects with an 'instruction'")
    return found


def as_outputs(prompts: Sequence[Prompt], texts: Sequence[str], generator: str) -> list[dict[str, str]]:
    """AlpacaEval's input: for every prompt, in order, its instruction, the model's output, and the generator."""
    return [
        {"dataset": prompt.dataset, "instruction": prompt.instruction, "output": text, "generator": generator}
        for prompt, text in zip(prompts, texts, strict=True)
    ]


def _fetched() -> str:
    from huggingface_hub import hf_hub_download

    try:
        return hf_hub_download(HUB, FILE, repo_type="dataset")
    except Exception as error:  # the hub's errors share no base
        reason = str(error).strip().split("\n")[0][:200]
        raise DataError(
            f"alpaca_eval: its prompts cannot be fetched from the hub ({type(error).__name__}: {reason}); give "
            f"{FILE} of the dataset {HUB} as a file"
        ) from error


def _prompt(row: Row, where: str, name: str) -> Prompt:
    instruction = row.get("instruction")
    if "instruction" not in row:
        raise DataError(f"{where}: has no 'instruction' (it has {names(row) or 'nothing'}); add it")
    if not isinstance(instruction, str) or not instruction.strip():
        raise DataError(f"{where}: the instruction is {shown(instruction)}, not text; fix or remove the row")
    if row.get("input"):
        raise DataError(f"{where}: has an 'input' of its own; write all of it into the instruction")
    if any("\ud800" <= c <= "\udfff" for c in instruction):
        raise DataError(f"{where}: the instruction holds half of a character (a lone surrogate); fix its encoding")
    return Prompt(instruction, str(row.get("dataset") or name), where)
