"""Named lists of lm-evaluation-harness tasks, grouped as in the papers, and the metrics that enter each list's mean.

Where a paper gives no number of examples, the task's default is used. No paper
says which of a task's metrics it prints; each list names its metric here, and the others are measured as well.

- `reasoning`: the nine classification tasks of LoKU (appendix, "Datasets for Evaluation in the TDEC"). The paper prints
  one mean "Acc" and names no metric; we use `acc` for all nine (`acc_norm`, where the harness has it, is measured as
  well), and OpenAI's version of LAMBADA.
- `forgetting`: the nine tasks of the Forgetting paper; `forgetting-table3` and `forgetting-table8` are the five and the
  four that it averages over. TydiQA uses one-shot F1, TruthfulQA mc2, IFEval prompt-level strict accuracy,
  the others `acc`. The column AVG is their plain mean, F1 included.
- `coding`, `medical`, `maths`: the tasks of Forget-to-Focus (section 3.3), measured with the harness. It prints pass@1
  for HumanEval (zero-shot) and MBPP (3-shot), and does not specify the others: PubMedQA and MedMCQA use `acc`
  (zero-shot), Hendrycks MATH the share of exact answers over all its problems (zero-shot), GSM8K the last number of
  the answer compared with the right one (5-shot; `exact_match,strict-match`, which requires "#### 18" as in the
  examples, is measured as well). `coding` runs the code the model writes and therefore needs `run_code=yes`. MedMCQA's
  test answers are not public: the harness uses its validation questions.
- `broad`: the six tasks of Forget-to-Focus's retention audit (A.2, table 5), as `acc`, without examples. All but one of
  the 72 values printed there are multiples of 0.5, as 200 questions per task would give: `harness:broad,limit=200`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Listed:
    """A task of a named list, the metric that enters the list's mean, and its number of examples if the paper's."""

    task: str
    metric: str = "acc"
    shots: int | None = None


_TABLE3 = (
    Listed("truthfulqa_mc2"),
    Listed("boolq"),
    Listed("logiqa"),
    Listed("tydiqa_goldp", "f1", 1),
    Listed("asdiv"),
)
_TABLE8 = (
    Listed("ifeval", "prompt_level_strict_acc"),
    Listed("arc_challenge"),
    Listed("lambada_openai"),
    Listed("arithmetic"),
)
LISTS: dict[str, tuple[Listed, ...]] = {
    "reasoning": (
        Listed("lambada_openai"),
        Listed("hellaswag"),
        Listed("winogrande"),
        Listed("copa"),
        Listed("arc_easy"),
        Listed("arc_challenge"),
        Listed("piqa"),
        Listed("mathqa"),
        Listed("pubmedqa"),
    ),
    "forgetting": (*_TABLE3, *_TABLE8),
    "forgetting-table3": _TABLE3,
    "forgetting-table8": _TABLE8,
    "coding": (Listed("humaneval", "pass@1,create_test"), Listed("mbpp", "pass_at_1")),
    "medical": (Listed("pubmedqa"), Listed("medmcqa")),
    "maths": (Listed("hendrycks_math", "exact_match"), Listed("gsm8k", "exact_match,flexible-extract")),
    "broad": (
        Listed("arc_easy"),
        Listed("arc_challenge"),
        Listed("hellaswag"),
        Listed("winogrande"),
        Listed("piqa"),
        Listed("boolq"),
    ),
}
