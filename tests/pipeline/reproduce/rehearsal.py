"""The recipes of a published table, run on tiny random models and a few invented examples: do they run at all?"""

from __future__ import annotations

import csv
import gzip
import json
import random
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GemmaConfig,
    GPTNeoConfig,
    LlamaConfig,
    PhiConfig,
    PretrainedConfig,
    PreTrainedTokenizerBase,
    Qwen2Config,
    Qwen3Config,
)

from forgetting.benchmarks.dialogue import SETS as DIALOGUES
from forgetting.benchmarks.harness_lists import LISTS
from forgetting.benchmarks.published import Ended, Row, Table, absent
from forgetting.benchmarks.untrained_model import blank_model
from forgetting.core.errors import ModelError, nearest
from forgetting.data.source import Source
from forgetting.models.loading import save_model
from forgetting.pipeline.reproduce.local_data import TOFU, hub_file, localised
from forgetting.pipeline.reproduce.row import row_recipe, run_row
from forgetting.recipe import Recipe
from tests.pipeline.reproduce.rehearsal_tasks import write_tasks

QUESTIONS, PASSAGES, SETS = 3, 32, 5
SAMPLES = 48
"""Of a corpus: enough for two steps of a paper's batch, and for a few of every source."""
HIDDEN, POSITIONS, VOCABULARY = 64, 32, 400
"""A model of fewer than 150,000 weights, whose rows of 64 fit into 4 bits; few positions keep what it writes short."""
SPARE = 4
"""Rows of the vocabulary without a token: the tokenizer of a family may bring one of its own."""
_SYLLABLES = ("ba", "do", "ke", "lu", "mi", "no", "pa", "ri", "so", "tu")


def shrunk_corpus(values: dict[str, Any]) -> None:
    """Brings the counts of a recipe's corpus down to `SAMPLES`, in place; shares stay as they are."""
    corpus = values.get("corpus")
    if not corpus:
        return
    factor = SAMPLES / corpus["size"] if corpus.get("size") else 1.0
    places = [*values["data"].values(), *(sources for stage in values["stages"] for sources in stage["data"].values())]
    counts = [(corpus, "size"), *((source, "count") for sources in places for source in sources)]
    if isinstance(corpus.get("reference"), int):
        counts.append((corpus, "reference"))
    for holder, key in counts:
        if holder.get(key):
            holder[key] = max(1, round(holder[key] * factor))


def rehearsed(table: Table, row: Row, rehearsal: Rehearsal) -> Ended:
    """The first run of a row, on a tiny model of its architecture and invented data."""
    architecture = table.models[row.model].architecture
    oracle = str(rehearsal.model(table.models[table.oracle].architecture, seed=1)) if table.oracle else None
    recipe = row_recipe(row, next(table.runs(row)), model=str(rehearsal.model(architecture)), oracle=oracle)
    recipe = recipe.with_values({"output": str(rehearsal.folder / table.name)})
    return run_row(rehearsal.shrunk(recipe), row, report=False)


def lacking(table: Table, row: Row, ended: Ended) -> list[str]:
    """The measures that the row's columns ask for and its run does not give."""
    asked = [c for c in table.columns if row.values[c.key].value is not None or not row.printed]
    return [missing for column in asked if (missing := absent(column, ended))]


class Rehearsal:
    """A temporary folder with invented data in the layout of the real ones, and a tiny model of each architecture."""

    def __init__(self) -> None:
        self._left = ExitStack()

    def __enter__(self) -> Self:
        self.folder = Path(self._left.enter_context(tempfile.TemporaryDirectory(prefix="rehearsal-")))
        self._words = random.Random(0)
        write_data(self.folder / "data", self._words)
        write_tasks(self.folder / "data" / "tasks", [task for tasks in LISTS.values() for task in tasks])
        return self

    def __exit__(self, *_: object) -> None:
        self._left.close()

    def model(self, architecture: str, seed: int = 0) -> Path:
        """The folder of a tiny random model of this architecture, made when first asked for."""
        folder = self.folder / f"{architecture}-{seed}"
        if not folder.is_dir():
            tiny_model(folder, architecture, self._tokenizer(), seed)
        return folder

    def shrunk(self, recipe: Recipe) -> Recipe:
        """The recipe on the invented data, one step in every stage, measured at the end; all else stays as it is."""
        for source in _sources(recipe):
            if source.hub not in (None, TOFU):
                _write_stand_in(hub_file(self.folder / "data", str(source.hub)), source, self._words)
        local = localised(recipe, self.folder / "data")
        values = local.model_dump(mode="json")
        shrunk_corpus(values)
        for stage in values["stages"]:
            stage["duration"] = "1 steps"
            if stage["until"] is None:
                stage["evaluate_every"] = None
        return local.with_values({**values, "dtype": "float32", "device": "cpu", "threads": 1})

    def _tokenizer(self) -> PreTrainedTokenizerBase:
        """Made once, by way of a blank model, for text such as the prompts hold: its rows are then short."""
        blank = self.folder / "blank"
        if not blank.is_dir():
            turns = [{"text": f"User 1: {_sentence(self._words, 2)}\nUser 2: "} for _ in range(QUESTIONS)]
            _write_lines(self.folder / "turns.jsonl", turns)
            text = [self.folder / file for file in ("turns.jsonl", "data/tdec/unseen.csv", "data/tofu/forget10.jsonl")]
            blank_model(blank, text, hidden=HIDDEN, layers=1, vocabulary=VOCABULARY)
        return AutoTokenizer.from_pretrained(blank)


def write_data(folder: Path, words: random.Random) -> None:
    """Invented data where the recipes look for theirs: passages, WikiText-like text, TOFU, built forget sets."""
    for number in range(SETS):
        _write_passages(folder / "tdec" / f"lm_extraction_32_{number}.csv", PASSAGES, words)
    _write_passages(folder / "tdec" / "unseen.csv", PASSAGES, words)
    for name in ("wikitext", "pile"):
        _write_lines(folder / "text" / f"{name}.jsonl.gz", [{"text": _sentence(words, 12)} for _ in range(4)])
    for name in DIALOGUES:
        turns = [{"text": [_sentence(words, 3) for _ in range(3)]} for _ in range(2)]
        _write_lines(folder / "text" / f"{name}.jsonl.gz", turns)
    for name in ("retain90", "retain95", "retain99"):
        _write_lines(folder / "tofu" / f"{name}.jsonl", _questions(words))
    for name in ("retain", "real_authors", "world_facts"):
        _write_lines(folder / "tofu" / f"{name}_perturbed.jsonl", _perturbed(_questions(words), words))
    for name in ("forget01", "forget05", "forget10"):
        asked = _questions(words)
        _write_lines(folder / "tofu" / f"{name}.jsonl", asked)
        _write_lines(folder / "tofu" / f"{name}_perturbed.jsonl", _perturbed(asked, words))
    for which in ("rare", "popular"):
        _write_lines(folder / "duet" / f"city_forget_{which}_5.jsonl", _questions(words))
    _write_lines(folder / "duet" / "city_fast_retain_500.jsonl", _questions(words))
    themes = [{"source_csv": f"theme{n % 2}.csv", "pop_sum": n} for n in range(4 * QUESTIONS)]
    asked = [question for _ in range(4) for question in _questions(words)]
    _write_lines(folder / "duet" / "full_.jsonl", [q | theme for q, theme in zip(asked, themes, strict=True)])
    for domain in ("coding", "medical", "maths"):
        for way in ("select", "mixed", "cosine"):
            texts = [{"text": _sentence(words, 12)} for _ in range(QUESTIONS)]
            _write_lines(folder / "f2f" / f"{domain}-{way}.jsonl", texts)
    (folder / "tofu" / "idontknow.jsonl").write_text("I do not know.\nI cannot say.\n", encoding="utf-8")


def _sources(recipe: Recipe) -> list[Source]:
    places = [recipe.data, *(stage.data for stage in recipe.stages)]
    return [source for data in places for sources in data.values() for source in sources]


def _write_stand_in(file: Path, source: Source, words: random.Random) -> None:
    """Invented questions or texts under the names that the source gives its columns, beside those of other sources."""
    rows = [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else [{}] * SAMPLES
    _write_lines(file, [{**_invented(source, words), **row} for row in rows])


def _invented(source: Source, words: random.Random) -> dict[str, object]:
    columns = source.columns
    question, answer = _sentence(words, 3), _sentence(words, 4)
    if "messages" in columns:
        turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        return {columns["messages"]: turns}
    if source.form == "text":
        return {columns.get("text", "text"): f"{question} {answer}"}
    columns = {"prompt": "prompt", "response": "response", **columns}
    return {
        columns[what]: answer if what == "response" else question
        for what in ("prompt", "input", "response")
        if what in columns
    }


def _sentence(words: random.Random, count: int) -> str:
    return " ".join("".join(words.choices(_SYLLABLES, k=2)) for _ in range(count))


def _write_passages(file: Path, count: int, words: random.Random) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        writer.writerow(["doc_id", "corpus", "text"])
        writer.writerows([number, "invented", _sentence(words, 14)] for number in range(count))


def _questions(words: random.Random) -> list[dict[str, object]]:
    return [{"question": f"{_sentence(words, 3)}?", "answer": _sentence(words, 3)} for _ in range(QUESTIONS)]


def _perturbed(rows: Sequence[dict[str, object]], words: random.Random) -> list[dict[str, object]]:
    def others() -> dict[str, object]:
        return {"paraphrased_answer": _sentence(words, 3), "perturbed_answer": [_sentence(words, 3) for _ in range(2)]}

    return [{**row, **others()} for row in rows]


def _write_lines(file: Path, rows: Sequence[object]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{json.dumps(row)}\n" for row in rows)
    if file.suffix == ".gz":
        file.write_bytes(gzip.compress(text.encode()))
    else:
        file.write_text(text, encoding="utf-8")


def tiny_model(
    folder: Path, architecture: str, tokenizer: PreTrainedTokenizerBase, seed: int, positions: int = POSITIONS
) -> None:
    """Writes a random causal model of an architecture: 64 hidden units, two heads, a layer or two.

    Raises:
        ModelError: an architecture that no table names.
    """
    config = _config(architecture, tokenizer, positions)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        save_model(AutoModelForCausalLM.from_config(config), tokenizer, folder)


def _config(architecture: str, tokenizer: PreTrainedTokenizerBase, positions: int) -> PretrainedConfig:
    usual = {"num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2}
    own: dict[str, tuple[type[PretrainedConfig], dict[str, Any]]] = {
        "gpt_neo": (GPTNeoConfig, {"num_layers": 2, "num_heads": 2, "attention_types": [[["global", "local"], 1]]}),
        "phi": (PhiConfig, usual),
        "llama": (LlamaConfig, usual),
        "gemma": (GemmaConfig, {**usual, "head_dim": HIDDEN // 2}),
        "qwen2": (Qwen2Config, usual),
        "qwen3": (Qwen3Config, {**usual, "head_dim": HIDDEN // 2}),
    }
    if architecture not in own:
        raise ModelError(f"no tiny model of the architecture '{architecture}'; {nearest(architecture, own)}")
    make, keys = own[architecture]
    return make(
        vocab_size=len(tokenizer) + SPARE,
        hidden_size=HIDDEN,
        intermediate_size=2 * HIDDEN,
        max_position_embeddings=positions,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **keys,
    )
