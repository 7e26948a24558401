"""TOFU's published evaluation logs as records, so that every metric here can be applied to them."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from forgetting.core.errors import DataError
from forgetting.core.record import Record, Score
from forgetting.core.text import said
from forgetting.core.written import read_json

SPLITS = {
    "eval_log.json": "retain",
    "eval_real_author_wo_options.json": "real_authors",
    "eval_real_world_wo_options.json": "world_facts",
    "eval_log_forget.json": "forget",
}
"""Name of a log inside the aggregated one -> split."""


def read_log(path: Path) -> Any:
    """What an evaluation log of another program holds, plain or gzipped.

    Raises:
        DataError: the file is missing or not JSON.
    """
    try:
        return read_json(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes())
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such evaluation log; give the path of a .json or .json.gz") from error
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"{path}: not a JSON evaluation log ({said(error)}); give one") from error


def read_tofu_log(path: Path) -> list[Record]:
    """The records of an `eval_log_aggregated.json` of locuslab/tofu, plain or gzipped.

    The id of a record is its index in the log. Prompt, generation and answer are as logged (the prompt starts with
    `Question: `, the generation with `Answer: ` and runs on). log p is tokens times the logged *average* loss: the
    summed losses are there too, but differ in the seventh digit (float32), and TOFU aggregates the averages. Ranks are
    not logged.

    Raises:
        DataError: the file is missing or not JSON, holds none of the four logs, or a log lacks a column or a row.
    """
    logs = read_log(path)
    found = [name for name in SPLITS if isinstance(logs, dict) and name in logs]
    if not found:
        raise DataError(f"{path}: holds none of TOFU's logs ({', '.join(SPLITS)}); give its eval_log_aggregated.json")
    return [record for name in found for record in _records(logs[name], SPLITS[name], f"{path}, {name}")]


def _records(log: Mapping[str, Mapping[str, Any]], split: str, where: str) -> list[Record]:
    try:
        return [_record(log, index, split) for index in log["avg_gt_loss"]]
    except KeyError as error:
        raise DataError(
            f"{where}: column or row {error} is missing; evaluate with TOFU's evaluate_util.py again"
        ) from error
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: not as TOFU's evaluate_util.py writes it ({error})") from error


def _record(log: Mapping[str, Mapping[str, Any]], index: str, split: str) -> Record:
    prompt, generation, answer = log["generated_text"][index]
    wrong = zip(log["average_perturb_loss"][index], log["num_token_perturb"][index], strict=True)
    return Record(
        id=index,
        split=split,
        prompt=prompt,
        answer=answer,
        generation=generation,
        score=_score(log["avg_gt_loss"][index], log["num_token_gt"][index]),
        paraphrase=_score(log["avg_paraphrased_loss"][index], log["num_token_paraphrased"][index]),
        perturbed=tuple(_score(loss, tokens) for loss, tokens in wrong),
    )


def _score(average_loss: float, tokens: int) -> Score:
    return Score(logp=-average_loss * tokens, tokens=tokens)
