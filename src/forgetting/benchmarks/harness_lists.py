"""Tasks of lm-evaluation-harness by the names of lists, as the papers group them, and what enters each list's mean.

Where a paper names no number of examples, the task's own default is used. No
paper says which of a task's metrics it prints; those of a list are named here, every other one is measured beside it.

- `reasoning`: the nine classification tasks of LoKU (appendix, "Datasets for Evaluation in the TDEC"). The paper prints
  one mean "Acc" and no choice of metric; `acc` is taken for all nine (`acc_norm`, where the harness has it, is measured
  beside it), and LAMBADA in OpenAI's version.
- `forgetting`: the nine tasks of the Forgetting paper; `forgetting-table3` and `forgetting-table8` are the five and the
  four that it averages over. TydiQA is one-shot F1; TruthfulQA is taken as mc2, IFEval as prompt-level strict accuracy,
  the others as `acc`. Its column AVG is their plain mean, F1 included.
- `coding`, `medical`, `maths`: the tasks of Forget-to-Focus (section 3.3), measured with the harness. It prints pass@1
  for HumanEval (no example before a problem) and MBPP (3), and says nothing of the others: PubMedQA and MedMCQA are
  taken as `acc` (no example), Hendrycks MATH as the share of exact answers over all its problems (no example), GSM8K
  as the last number of the answer against the right one (5; `exact_match,strict-match`, which wants "#### 18" as in the
  examples, is measured beside it). `coding` runs what the model writes and so wants `run_code=yes`. MedMCQA's test
  answers are not public: the harness asks its validation questions.
- `broad`: the six tasks of Forget-to-Focus's retention audit (A.2, table 5), as `acc`, without examples. All but one of
  the 72 values printed there are multiples of 0.5, as 200 questions a task would give: `harness:broad,limit=200`.
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
