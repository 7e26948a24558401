"""The folder that a build of facts leaves: rows for recipes, and the account of how they came about."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from forgetting.core.folder import written_whole
from forgetting.forget_sets.facts.clean import Steps
from forgetting.forget_sets.facts.fact import FactSource
from forgetting.forget_sets.facts.known import Asked, Shown
from forgetting.forget_sets.facts.plan import Plan
from forgetting.forget_sets.facts.relations import Relations
from forgetting.forget_sets.facts.splits import Split, drawn
from forgetting.runs.redact import SHARED

Splits = Mapping[float, tuple[Split, dict[str, Any]]]


@dataclass(frozen=True)
class Made:
    """A build, to be written."""

    source: FactSource
    relations: Relations
    popularity: Mapping[str, object]
    plan: Plan
    steps: Steps
    known: Sequence[Asked]
    unknown: Sequence[Asked]
    shown: Sequence[Shown]
    knower: Mapping[str, object] | None
    plain: Splits
    matched: Splits


def cache_of(out: Path) -> Path:
    """Where a build keeps what it may go on from: beside its folder."""
    return out.absolute().parent / SHARED / "facts"


def write_made(made: Made, out: Path) -> dict[str, Any]:
    """Writes the folder whole or not at all, and returns its account.

    Raises:
        RunError: the disk refuses.
    """
    sets = {"known": list(made.known), "holdout": list(made.unknown)} | _sets(made)
    account = _account(made) | {"files": {f"{name}.jsonl": len(some) for name, some in sets.items() if some}}
    with written_whole(out) as folder:
        for name, some in sets.items():
            if some:
                _write_rows(folder / f"{name}.jsonl", [_row(one, made) for one in some])
        if made.shown:
            _write_rows(folder / "shots.jsonl", [{"question": s.prompt, "answer": s.response} for s in made.shown])
        (folder / "ATTRIBUTION.txt").write_text(f"{made.source.credit}\n", encoding="utf-8")
        (folder / "build.json").write_text(
            json.dumps(account, ensure_ascii=False, indent=1, default=str) + "\n", encoding="utf-8"
        )
    return account | {"folder": str(out)}


def _sets(made: Made) -> dict[str, list[Asked]]:
    found = {}
    for kind, splits in (("plain", made.plain), ("matched", made.matched)):
        for percent, (split, _) in splits.items():
            for name, some in split.files().items():
                found[f"{kind}/{name}_{percent:g}"] = some
                if made.plan.fast is not None and name.startswith("retain") and len(some) > made.plan.fast:
                    found[f"{kind}/fast_{name}_{percent:g}"] = drawn(some, made.plan.fast, made.plan.seed)
    return found


def _write_rows(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def _row(one: Asked, made: Made) -> dict[str, object]:
    """A fact as an example, with where everything in it is from."""
    fact, credit = one.fact, made.source.credit
    row: dict[str, object] = {
        "id": one.id,
        "group": fact.subject.key,
        "question": one.question,
        "answer": one.answer,
        "paraphrased_question": next(iter(one.paraphrases), None),
        "relation": one.relation,
        "popularity": one.popularity,
        "fact": {
            "subject": fact.subject.label,
            "subject_id": fact.subject.id,
            "object_id": fact.object.id,
            "statement": fact.statement,
            "where": fact.where,
            "paraphrases": list(one.paraphrases),
            "also_right": list(one.right),
            "source": credit.source,
            "licence": credit.licence,
            "date": credit.date,
            "popularity": {"name": made.popularity["name"], "date": made.popularity["date"]},
            **({} if made.knower is None else {"model_said": one.said, "score": round(one.score, 4)}),
        },
    }
    return {key: value for key, value in row.items() if value is not None}


def _account(made: Made) -> dict[str, Any]:
    asked = [*made.known, *made.unknown]
    return {
        "builder": "facts",
        "source": dict(made.source.about),
        "credit": asdict(made.source.credit),
        "left_out_by_the_source": dict(made.source.left_out),
        "relations": made.relations.source,
        "popularity": {**made.popularity, "combine": made.plan.combine},
        "settings": asdict(made.plan),
        "facts_left_after_each_step": made.steps.counts,
        "relations_without_template": dict(made.steps.without.most_common()),
        "relations_in_the_general_form": dict(made.steps.generic.most_common()),
        "known_by": None if made.knower is None else {**made.knower, "shots": len(made.shown)},
        "by_relation": None if made.knower is None else _by_relation(asked),
        "splits": {
            kind: {f"{percent:g}": about for percent, (_, about) in splits.items()}
            for kind, splits in (("plain", made.plain), ("matched", made.matched))
        },
        "forgetting": version("forgetting"),
    }


def _by_relation(asked: Sequence[Asked]) -> dict[str, dict[str, object]]:
    """Of each relation what the model knows, and what it says most often: a model that always says one thing is right
    as often as that is the answer."""
    found: dict[str, dict[str, object]] = {}
    for name in sorted({one.relation for one in asked}):
        own = [one for one in asked if one.relation == name]
        commonest, times = Counter(one.said for one in own).most_common(1)[0]
        found[name] = {
            "asked": len(own),
            "known": sum(one.is_known for one in own),
            "said_most": commonest,
            "said_so_often": times,
            "right_then": sum(one.is_known for one in own if one.said == commonest),
        }
    return found
