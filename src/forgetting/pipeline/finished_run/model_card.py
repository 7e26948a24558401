"""A model card of a run: what was done and measured, in numbers and hashes, without the words to forget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from forgetting.audits.certificate.reading import found_in, read_statement
from forgetting.audits.certificate.words import COLUMNS, rows
from forgetting.core.measure import Measure
from forgetting.report import wording
from forgetting.report.table import main_table
from forgetting.report.verdict.finetuning import forgets_nothing
from forgetting.report.verdict.stop_rule import goal_failure
from forgetting.report.verdict.verdict import Verdict
from forgetting.runs.began import START
from forgetting.runs.paths import RunPaths
from forgetting.runs.results import Results
from forgetting.runs.stage_result import StageResult

LIBRARIES = {True: "peft", False: "transformers"}
"""By whether an adapter is published."""


def model_card(
    run: Results,
    judged: Verdict,
    *,
    name: str,
    base: str | None,
    adapter: bool,
    curlora: bool,
    license_name: str | None,
) -> ModelCard:
    """The card of a run's model.

    It gives counts and hashes of the data, and their name on the hub if they come from there, but no names of local
    files. Measures are in the metadata (model-index) and in a table with their intervals.

    Args:
        run: finished.
        judged: the verdict on it; what failed is the first that the card says.
        name: the model's name on the hub.
        base: the hub's name of the base model; None: it is not on the hub.
        adapter: whether an adapter is published, and not a whole model.
        curlora: whether that adapter is CURLoRA, which plain PEFT does not know.
        license_name: of the model, in the hub's notation.
    """
    data = ModelCardData(
        base_model=base,
        datasets=_hub_sources(run.recipe) or None,
        eval_results=_results(run) or None,
        library_name=LIBRARIES[adapter],
        license=license_name,
        model_name=name.rpartition("/")[2],
        pipeline_tag="text-generation",
        tags=_tags(run, adapter),
    )
    forgets = not forgets_nothing(run)
    parts = [
        f"# {name.rpartition('/')[2]}",
        *_audit(run),
        *_verdict(judged),
        _opening(run, base, adapter),
        *_earlier(run),
        *(["## What was to be forgotten"] if forgets else ["## What was learned"]),
        _data(run, forgets),
        "## How",
        _how(run),
        "## What was measured",
        _measured(run),
        "## What was not measured",
        _not_measured(run),
        "## How to load it",
        _loading(name, base, adapter, curlora),
    ]
    return ModelCard(f"---\n{data.to_yaml()}\n---\n\n" + "\n\n".join(parts) + "\n")


def _tags(run: Results, adapter: bool) -> list[str]:
    methods = list(dict.fromkeys(stage.method for stage in run.stages))
    kind = [] if forgets_nothing(run) else ["machine-unlearning"]
    return [*kind, "forgetting", *methods, *(["lora"] if adapter else [])]


def _hub_sources(recipe: Mapping[str, Any]) -> list[str]:
    """The datasets from the hub among the sources of the recipe and its stages."""
    places = [recipe.get("data") or {}, *((stage.get("data") or {}) for stage in recipe.get("stages", []))]
    named = [found for place in places for found in place.values()]
    sources = [s for found in named for s in (found if isinstance(found, list) else [found])]
    return list(dict.fromkeys(str(s["hub"]) for s in sources if isinstance(s, Mapping) and s.get("hub")))


def _measures(run: Results) -> list[Measure]:
    """Measures of whole splits at the end of the run; names of kinds could reveal the forget set."""
    return [m for m in (run.after.measures if run.after else ()) if "[" not in m.name]


def _results(run: Results) -> list[EvalResult]:
    return [
        EvalResult(
            task_type="text-generation",
            dataset_type=run.suite or "own",
            dataset_name=f"{run.suite or 'own data'}: {m.split}",
            dataset_split=m.split,
            metric_type=m.name,
            metric_name=wording.title(m),
            metric_value=m.value,
        )
        for m in _measures(run)
        if m.value is not None
    ]


def _opening(run: Results, base: str | None, adapter: bool) -> str:
    what = "An adapter" if adapter else "A model"
    of = f"of [{base}](https://huggingface.co/{base})" if base else "of a model that is not on the hub"
    by = f"[`forgetting`](https://pypi.org/project/forgetting) {version('forgetting')}"
    return f"{what} {of}, trained with {by}."


def _earlier(run: Results) -> list[str]:
    """What is true of a run that began with the result of an earlier one: the table and the settings show the last."""
    if run.environment.get(START) not in ("run", "adapter"):
        return []
    unmeasured = " What earlier runs were to forget was not measured again."
    if run.earlier_sets:
        unmeasured = " Not all that earlier runs were to forget was measured again." if run.earlier else ""
    elif run.environment.get(START) == "run" and not run.earlier:
        unmeasured = ""
    return [
        "It began with a model that had been trained before (an adapter, or the result of an earlier run), and what "
        'is published here holds that too. Data, settings and measures below are those of the last run; "before" is '
        f"the model that it began with.{unmeasured}"
    ]


def _verdict(judged: Verdict) -> list[str]:
    """What failed, set off; else the headline; then a line for each of several requests."""
    warning = f"> **This run failed: {' '.join(judged.failed)}** Read the measures before any use."
    lines = "\n".join(f"- {finding.topic}: {finding.text}" for finding in judged.requests)
    said = [*([warning] if judged.failed else []), judged.headline, *([lines] if lines else [])]
    return [text.replace("<", "&lt;") for text in said]


def _audit(run: Results) -> list[str]:
    """What the run's audit says, favourable or not; nothing where there was none."""
    file = RunPaths(run.folder).certificate_file
    if not file.is_file():
        return []
    statement = read_statement(file)
    said = statement["predicate"]
    found = _table(COLUMNS, rows(found_in(statement, file)))
    limits = "\n".join(f"- {limit}" for limit in said["limits"])
    return [
        f"> **Audit of {wording.moment(said['date'])}: {said['line']}**".replace("<", "&lt;"),
        f"{found}\n\n{said['claim']} What that does not cover:\n\n{limits}".replace("<", "&lt;"),
    ]


def _data(run: Results, forgets: bool) -> str:
    """Counts, and hashes except for the forget set: the hash of a small set could confirm guesses."""
    rows = [[role, wording.count(facts.get("examples")), _hash(run, role, facts)] for role, facts in run.data.items()]
    note = "The data that were to be forgotten are not shown here." if forgets else "The data are not shown here."
    return f"{note}\n\n{_table(['role', 'examples', 'SHA-256 of the examples'], rows)}" if rows else note


def _hash(run: Results, role: str, facts: Mapping[str, object]) -> str:
    return "not told" if run.redacted or role.startswith("forget") else f"`{facts.get('sha256', '')}`"


def _how(run: Results) -> str:
    rows = [
        [
            stage.name,
            f"{stage.method}{_parameters(run, stage)}",
            f"{stage.adapter} ({stage.coverage})" if stage.coverage else stage.adapter,
            wording.number(stage.learning_rate),
            f"{stage.steps} ({stage.epochs:g} epochs)" if stage.transform is None else "none: a transform",
            ", ".join([stage.stopped, *([said] if (said := goal_failure(run, stage)) else [])]),
        ]
        for stage in run.stages
    ]
    seed = run.recipe.get("seed")
    said = f"Seed {seed}. " if seed is not None else ""
    costs = f"{said}Training took {wording.seconds(run.cost.train_seconds)}."
    return f"{_table(['stage', 'method', 'adapter', 'learning rate', 'steps', 'stopped by'], rows)}\n\n{costs}"


def _parameters(run: Results, stage: StageResult) -> str:
    """The method's settings that are numbers or names."""
    written: Mapping[str, Any] = next((s for s in run.recipe.get("stages", []) if s.get("name") == stage.name), {})
    method = written.get("method") or written.get("transform")
    given = {k: v for k, v in method.items() if k != "name"} if isinstance(method, Mapping) else {}
    said = ", ".join(f"{k} {v}" for k, v in given.items() if isinstance(v, int | float | str))
    return f" ({said})" if said else ""


def _measured(run: Results) -> str:
    shown = [m for m in _measures(run) if m.value is not None]
    if not shown:
        return "Nothing: the run ended without a measure that has a value."
    table = main_table([run], [m.key for m in shown])
    ends = {row.kind: row for row in table.rows if row.kind in ("before", "oracle", "run")}
    names = {"before": "before", "oracle": "oracle", "run": "this model"}
    rows = [
        [f"{column.title} {column.arrow}".strip(), *(row.cells[i].plain for row in ends.values()), str(shown[i].count)]
        for i, column in enumerate(table.columns)
    ]
    note = (
        f"Suite `{run.suite}`, with 95% intervals over the examples; they do not cover the randomness of training. "
        "↑ higher is better, ↓ lower is better, → oracle: closer to a model that never saw the data is better."
    )
    return f"{note}\n\n{_table(['measure', *(names[kind] for kind in ends), 'n'], rows)}"


def _not_measured(run: Results) -> str:
    absent = [m.key for m in _measures(run) if m.value is None]
    lines = [f"- `{key}` was requested and could not be measured" for key in absent]
    if run.oracle_evaluation is None and not forgets_nothing(run):
        lines.append("- there was no oracle (a model that never saw the data), so nothing says how much is too much")
    lines.append("- anything that the table above does not show, such as whether further training brings it back")
    return "\n".join(lines)


def _loading(name: str, base: str | None, adapter: bool, curlora: bool) -> str:
    if not adapter:
        lines = ["from transformers import AutoModelForCausalLM, AutoTokenizer", ""]
        lines += [f'model = AutoModelForCausalLM.from_pretrained("{name}")']
    else:
        lines = ["from peft import PeftModel", "from transformers import AutoModelForCausalLM, AutoTokenizer"]
        lines += ["import forgetting.models.adapters  # teaches PEFT the adapter CURLoRA"] if curlora else []
        lines += ["", f'base = AutoModelForCausalLM.from_pretrained("{base or "THE BASE MODEL"}")']
        lines += [f'model = PeftModel.from_pretrained(base, "{name}")']
    return "\n".join(["```python", *lines, f'tokenizer = AutoTokenizer.from_pretrained("{name}")', "```"])


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
