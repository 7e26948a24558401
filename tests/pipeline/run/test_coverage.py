"""A run on a mixture of experts says on how much of the model its adapter is."""

from __future__ import annotations

from pathlib import Path

from forgetting.core.progress import Voice
from forgetting.models.loading import save_model
from forgetting.pipeline.run.run import run
from forgetting.recipe import load_recipe
from forgetting.runs.results import Results
from tests.conftest import write_rows
from tests.models.adapters.test_targets import MATRICES, mixture
from tests.models.tiny import tiny_tokenizer


def test_it_says_so_while_it_runs_in_its_results_and_in_its_report(tmp_path: Path) -> None:
    model = mixture("mixtral")
    model.config.eos_token_id = model.generation_config.eos_token_id = 2
    save_model(model, tiny_tokenizer(), tmp_path / "model")
    rows = [{"question": "the cat", "answer": "sat on the bird"}, {"question": "a dog", "answer": "ran"}]
    files = [
        write_rows(tmp_path / f"{role}.jsonl", [{**row, "question": f"{row['question']} {word}"} for row in rows])
        for role, word in (("forget", "red"), ("retain", "blue"))
    ]
    given = [f"model={tmp_path / 'model'}", f"data.forget={files[0]}", f"data.retain={files[1]}", "adapter.rank=2"]
    given += [
        "name=x",
        f"output={tmp_path / 'runs'}",
        "duration=1 steps",
        "evaluate_every=null",
        "keep=last",
        "max_new_tokens=2",
    ]
    said: list[str] = []
    folder = run(load_recipe("unlearn", given), voice=Voice(said.append))

    inside, beyond = MATRICES["mixtral"]
    right = f"the adapter is on {inside / (inside + beyond):.1%} of the decoder's matrix weights"
    assert any(line.startswith(f"warning: stage unlearn: {right}") for line in said)
    (stage,) = Results.load(folder).stages
    assert stage.coverage.startswith(right)
    assert stage.adapter.endswith(", all linear layers") and not any("all targets" in line for line in said)
    assert "experts.gate_up_proj" in (folder / "report.html").read_text()
