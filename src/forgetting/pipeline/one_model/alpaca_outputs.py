"""Writes a model's outputs for AlpacaEval in a file that its command reads (`forget generate`)."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from forgetting.benchmarks.alpaca_eval import Prompt, as_outputs, load_prompts
from forgetting.core.digest import digest
from forgetting.core.errors import DataError, RecipeError, RunError
from forgetting.core.example import Example
from forgetting.core.folder import check_writable, write_text
from forgetting.core.progress import SILENT, Voice
from forgetting.core.written import read_json
from forgetting.data.encode import encode
from forgetting.data.formatting import Formatting
from forgetting.data.reading import Heard
from forgetting.data.tokens import tokenizer_fingerprint
from forgetting.evaluation.answers import answer
from forgetting.models.expression import terms_of
from forgetting.models.head import longest_row
from forgetting.models.loading import LoadedModel
from forgetting.pipeline.one_model.evaluate import given_data
from forgetting.pipeline.one_model.settings import settled
from forgetting.pipeline.run.load import load_measured
from forgetting.pipeline.run.shots import with_shots
from forgetting.pipeline.run.source import is_run
from forgetting.runs.paths import RunPaths
from forgetting.training.stored_reference import fingerprint

MAX_NEW_TOKENS = 2048
"""AlpacaEval's configurations of models allow 2,048 to 4,096."""
TOGETHER = 16
"""Prompts that are answered before the partial outputs are saved. They share batches, so the exact outputs depend on
it."""
STAND_IN = "A"
"""A placeholder for the answer, so that the prompt's tokens end as before a real answer, without a space that the
tokenizer joins to an answer's first word."""


@dataclass(frozen=True)
class Generated:
    """The file of the outputs, the generator, their number, and the number of empty ones."""

    file: Path
    generator: str
    count: int
    empty: int
    decoding: str


def generate(
    model: str,
    *,
    prompts: str | None = None,
    out: Path | None = None,
    generator: str | None = None,
    limit: int | None = None,
    settings: Mapping[str, object] | None = None,
    voice: Voice = SILENT,
) -> Generated:
    """Writes a model's answers to AlpacaEval's prompts as `instruction`, `output`, `generator` and `dataset`.

    Decoding is greedy: no temperature and no seed, so the file is reproducible. The format is the tokenizer's chat
    template if there is one, otherwise the plain format; for a run, its training format. Spaces around outputs are
    stripped. The file is whole or absent; the same command resumes an interrupted one.

    Args:
        model: folder, hub id, a suite's model, the folder of a run, or a combination: `lab + 0.5*runs/gd - 0.5*lab`.
        prompts: a file with an `instruction` in each row; None: AlpacaEval's 805, from the hub.
        out: a .json file; None: `alpaca_eval/outputs.json` in the run's folder, `outputs.json` for other models.
        generator: the model's name on AlpacaEval's leaderboard; None: that of its folder.
        limit: number of prompts to use, from the first.
        settings: further keys of a recipe that matter here: `format`, `dtype`, `device`; `max_new_tokens` of each
            output, 2,048 by default, fewer if the model has fewer positions left.

    Raises:
        ForgettingError: bad input, an instruction that leaves no room for an answer, or a file that already exists.
    """
    file = out or (RunPaths(Path(model)).outputs_file if is_run(model) else Path("outputs.json"))
    _check(file)
    asked = load_prompts(prompts, limit=limit)
    recipe = settled(model, {"max_new_tokens": MAX_NEW_TOKENS}, settings or {}, ("format",))
    data = given_data(recipe, Heard(voice.say), voice)
    loaded, recipe = load_measured(recipe, voice)
    recipe = with_shots(recipe, {"": data}, voice=voice)
    formatting = _formatting(asked, loaded, recipe.format)
    tokens = recipe.max_new_tokens or MAX_NEW_TOKENS
    texts = _texts(asked, loaded, formatting, tokens, file, voice)
    name = generator or _name(model)
    write_text(file, json.dumps(as_outputs(asked, texts, name), ensure_ascii=False, indent=1))
    _begun(file).unlink(missing_ok=True)
    decoding = f"greedy, at most {tokens:,} tokens, {_words(loaded, formatting)}"
    return Generated(file, name, len(texts), texts.count(""), decoding)


def _name(model: str) -> str:
    """The name of the outputs: the folder or hub id; for a combination, its expression."""
    if Path(model).exists():
        return Path(model).resolve().name
    return model.split("/")[-1] if len(terms_of(model)) == 1 else model


def _check(file: Path) -> None:
    if file.suffix != ".json":
        raise RecipeError(f"{file}: AlpacaEval reads a list as JSON; choose a name that ends in .json")
    if file.exists():
        raise RunError(f"{file}: already exists; remove it or choose another file")
    check_writable(file)


def _formatting(prompts: Sequence[Prompt], loaded: LoadedModel, formatting: Formatting) -> Formatting:
    """The format, with rows as long as the model's positions; checks that every prompt leaves room for a token."""
    positions = longest_row(loaded.model)
    uncut = formatting.model_copy(update={"max_length": sys.maxsize})
    for example in _examples(prompts):
        tokens = len(encode(example, loaded.tokenizer, uncut).prompt_ids)
        if positions is not None and tokens >= positions:
            raise DataError(
                f"{example.where}: the instruction is {tokens:,} tokens long, which leaves no room to answer within "
                f"the model's {positions:,} positions; remove the row"
            )
    return uncut if positions is None else formatting.model_copy(update={"max_length": positions})


def _examples(prompts: Sequence[Prompt]) -> list[Example]:
    return [Example(id=p.where, prompt=p.instruction, response=STAND_IN, where=p.where) for p in prompts]


def _texts(
    prompts: Sequence[Prompt], loaded: LoadedModel, formatting: Formatting, limit: int, file: Path, voice: Voice
) -> list[str]:
    key = _key(prompts, loaded, formatting, limit)
    texts = _kept(file, key, voice)
    examples = _examples(prompts)
    while len(texts) < len(examples):
        voice.progress(len(texts), len(examples), "outputs")
        some = examples[len(texts) : len(texts) + TOGETHER]
        records = answer(
            loaded.model, loaded.tokenizer, some, split="alpaca_eval", formatting=formatting, max_new_tokens=limit
        )
        texts += [record.generation or "" for record in records]
        write_text(_begun(file), json.dumps({"key": key, "outputs": texts}))
    return texts


def _key(prompts: Sequence[Prompt], loaded: LoadedModel, formatting: Formatting, limit: int) -> str:
    """The digest of the outputs' inputs."""
    whose = (fingerprint(loaded.model), tokenizer_fingerprint(loaded.tokenizer), formatting.model_dump())
    return digest(whose, limit, TOGETHER, [p.instruction for p in prompts], version("forgetting"))


def _begun(file: Path) -> Path:
    return file.with_name(f".{file.name}.begun")


def _kept(file: Path, key: str, voice: Voice) -> list[str]:
    """The outputs of an interrupted run with the same inputs."""
    if not _begun(file).is_file():
        return []
    try:
        begun = read_json(_begun(file).read_text(encoding="utf-8"))
    except ValueError:
        begun = {}
    if not isinstance(begun, dict) or begun.get("key") != key:
        voice.say(f"{_begun(file)}: was started with another model, other prompts or other settings; starting again")
        return []
    voice.say(f"resuming after {len(begun['outputs'])} outputs")
    return list(begun["outputs"])


def _words(loaded: LoadedModel, formatting: Formatting) -> str:
    has_template = getattr(loaded.tokenizer, "chat_template", None) is not None
    return "chat template" if has_template and formatting.template != "plain" else "plain format"
