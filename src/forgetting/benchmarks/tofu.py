"""TOFU: questions about fictitious authors, some of whom are to be forgotten, with every column of LoKU's tables 2-9.

Source: Maini et al., "TOFU: A Task of Fictitious Unlearning for LLMs" (arXiv 2401.06121); `locuslab/TOFU` on the hub;
the settings of locuslab/tofu's `config/eval_everything.yaml`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from forgetting.benchmarks.registry import register_suite
from forgetting.benchmarks.suite import Split, Suite
from forgetting.core.declaration import Balance, Declaration, Headline
from forgetting.core.errors import DataError, RecipeError, nearest
from forgetting.core.example import Example, Role
from forgetting.core.measure import Measure
from forgetting.core.written import read_json
from forgetting.data.examples import load_examples, to_example
from forgetting.data.files import Row
from forgetting.data.source import Source
from forgetting.metrics.forget_quality import forget_quality
from forgetting.metrics.likelihood import option_probability, probability
from forgetting.metrics.metric import Metric
from forgetting.metrics.per_example import mean, toward_oracle
from forgetting.metrics.score import score
from forgetting.metrics.text import rouge_l_recall
from forgetting.metrics.tofu_log import read_tofu_log
from forgetting.metrics.truth_ratio import Reading, truth_ratio_forget, truth_ratio_utility
from forgetting.metrics.utility import tofu_model_utility

HUB = "locuslab/TOFU"
RETAINED = {"forget01": "retain99", "forget05": "retain95", "forget10": "retain90"}
"""What is kept when a split is forgotten."""
QUESTIONS, QUESTIONS_FAST = 300, 100
"""Questions per split: the first 300, as TOFU's `ds_size` has it; fewer in the middle of a stage."""
ANSWER_TOKENS = 160
"""TOFU stops at 200 tokens of question and answer together; questions have up to about 40."""
READINGS: tuple[Reading, ...] = ("mean_loss", "mean_probability")
TOFU_DECLARED = Declaration(
    headline=Headline(
        forgotten=("forget/probability", "forget/rouge_l_recall"),
        forgotten_too=(("forget/rouge_l_recall",),),
        quality=("forget/forget_quality", "forget/forget_quality_mean_probability"),
        kept=("retain/probability", "retain/rouge_l_recall"),
        kept_too=(("retain/rouge_l_recall",),),
        overall=("all/model_utility", "all/model_utility_mean_probability"),
    ),
    balance=Balance(forget="forget/probability", retain="retain/probability", utility="all/model_utility"),
    alarm=("retain/probability",),
    forget_splits=("forget",),
    retain_splits=("retain",),
)
"""What counts among `tofu_metrics`."""


def tofu_suite(split: str = "forget10", folder: Path | None = None, *, fast: bool = False) -> Suite:
    """TOFU with one of its forget sets: `forget01`, `forget05` or `forget10` (1, 5 or 10% of 200 invented authors).

    In a recipe: `tofu` (forget10), `tofu:forget05`, or with local files `tofu:forget10@FOLDER`.

    Splits, of the first 300 questions each: `forget`, `retain` (the other authors), `real_authors` and `world_facts`.
    The truth ratio uses the question as written and the paraphrased answer, as in TOFU's evaluation; the
    paraphrased question, which the data hold too, is not asked.

    `data` holds the roles `forget` (all of the split), `retain` (all other authors) and `train` (both, which is all of
    TOFU, to teach a model): {suite: 'tofu:forget10'}. No oracle comes with it: name a model trained on `retain` alone
    as the recipe's `oracle`.

    Args:
        split: which authors are forgotten.
        folder: of local files, one JSON object a line, named like the hub's configurations (`forget10_perturbed.json`)
            or `forget10_qa.jsonl`; as .json, .jsonl or .jsonl.gz. Where only plain questions are there, without
            wrong answers, what rests on wrong answers is absent with its reason. None: the hub.
        fast: 100 questions per split, for measuring in the middle of a stage.

    Raises:
        RecipeError: there is no such split.
        DataError: the hub cannot be reached, a local file is missing, or a row of it is not a question with an answer.
    """
    if split not in RETAINED:
        raise RecipeError(f"TOFU has no split '{split}'; {nearest(split, RETAINED)}")
    kept = RETAINED[split]
    measured = {
        "forget": (f"{split}_perturbed", split, f"{split}_qa"),
        "retain": ("retain_perturbed", kept, "retain_qa"),
        "real_authors": ("real_authors_perturbed", "real_authors_qa"),
        "world_facts": ("world_facts_perturbed", "world_facts_qa"),
    }
    trained = {
        Role.FORGET: (split, f"{split}_qa", f"{split}_perturbed"),
        Role.RETAIN: (kept, "retain_qa", "retain_perturbed"),
    }
    limit = QUESTIONS_FAST if fast else QUESTIONS
    splits = tuple(
        Split(name=name, examples=_measured(_examples(names, folder)[:limit]), max_new_tokens=ANSWER_TOKENS)
        for name, names in measured.items()
    )
    data = {str(role): _examples(names, folder) for role, names in trained.items()}
    return Suite(
        name=f"tofu-{split}",
        splits=splits,
        metrics=tofu_metrics(),
        data={**data, str(Role.TRAIN): (*data[Role.RETAIN], *data[Role.FORGET])},
        declares=TOFU_DECLARED,
    )


@register_suite("tofu")
def tofu_variant(variant: str, fast: bool) -> Suite:
    """Questions about 200 invented authors, some to be forgotten: tofu:forget10, or local tofu:forget10@FOLDER."""
    split, at, folder = variant.partition("@")
    if at and not (folder and Path(folder).is_dir()):
        raise DataError(f"tofu:{variant}: no such folder '{folder}'; write tofu:forget10@FOLDER, or leave @ out")
    return tofu_suite(split or "forget10", Path(folder) if at else None, fast=fast)


def tofu_metrics() -> tuple[Metric, ...]:
    """Every column of LoKU's tables 2-9: model utility, forget quality, and ROUGE-L, probability, truth ratio by split.

    On `forget` the goal is the oracle's value (without one: less probability and ROUGE-L, more truth ratio). On
    `real_authors` and `world_facts` probability is the answer's share among the options. Truth ratio, model utility and
    forget quality have two readings; names of the second end in `_mean_probability` (see `metrics.truth_ratio`).
    """
    kept = ("retain", "real_authors", "world_facts")
    both: list[Callable[[Reading], Metric]] = [
        lambda reading: toward_oracle(mean(truth_ratio_forget(reading), ("forget",), "up")),
        lambda reading: mean(truth_ratio_utility(reading), kept, "up"),
        lambda reading: forget_quality(("forget",), reading),
        tofu_model_utility,
    ]
    return (
        toward_oracle(mean(rouge_l_recall, ("forget",), "down")),
        toward_oracle(mean(probability, ("forget",), "down")),
        mean(rouge_l_recall, kept, "up"),
        mean(probability, ("retain",), "up"),
        mean(option_probability, ("real_authors", "world_facts"), "up"),
        *(make(reading) for make in both for reading in READINGS),
    )


def rescore(log: Path, oracle: Path | None = None) -> list[Measure]:
    """The measures of `tofu_metrics` on a published evaluation log, `eval_log_aggregated.json` of locuslab/tofu.

    Args:
        log: of the model, plain or gzipped.
        oracle: the log of a model that never saw the forget set; without it there is no forget quality.

    Raises:
        DataError: a file is missing or no such log, or the oracle was asked other questions.
    """
    return score(tofu_metrics(), read_tofu_log(log), None if oracle is None else read_tofu_log(oracle))


def _measured(examples: Sequence[Example]) -> tuple[Example, ...]:
    """TOFU's `question_key` is the plain question on all four splits."""
    return tuple(replace(example, paraphrased_prompt=None) for example in examples)


def _examples(names: Sequence[str], folder: Path | None) -> tuple[Example, ...]:
    """The examples of the first of `names` that is in the folder; on the hub, of the first."""
    if folder is None:
        return tuple(load_examples(Source(hub=HUB, name=names[0])))
    files = [folder / f"{name}{end}" for name in names for end in (".jsonl", ".json", ".jsonl.gz")]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        raise DataError(f"{folder}: holds none of {', '.join(names)} (.jsonl or .json); add one of them")
    return tuple(_read(file))


def _read(file: Path) -> list[Example]:
    """The rows of a local file. TOFU's own .json files hold one object a line, which `data.files` expects of .jsonl."""
    source = Source(path=str(file))
    if file.suffix != ".json" or _is_list(file):
        return load_examples(source)
    examples = [to_example(row, where, source) for where, row in _lines(file)]
    if not examples:
        raise DataError(f"{file}: holds no examples; give at least one")
    return list({example.id: example for example in examples}.values())


def _is_list(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(64).lstrip().startswith(b"[")


def _lines(file: Path) -> Iterator[tuple[str, Row]]:
    """(`file:line`, object) of each line that is not blank."""
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = read_json(line)
        except json.JSONDecodeError as error:
            raise DataError(f"{file}:{number}: not JSON ({error.msg} at column {error.colno}); fix it") from error
        if not isinstance(row, dict):
            raise DataError(f"{file}:{number}: is a {type(row).__name__}, not an object with named fields")
        yield f"{file}:{number}", row
