"""What the name of a model stands for."""

from pathlib import Path

import pytest

from forgetting.pipeline.run.source import start_of


def test_a_run_an_adapter_a_folder_a_suites_model_and_the_hubs_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for file in (
        "org/whole/config.json",
        "org/adapter/adapter_config.json",
        "org/run/recipe.yaml",
        "org/run/model/config.json",
    ):
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).write_text("{}")
    names = ("lab", "org/whole", "org/adapter", "org/run", "org/run/model", "org/nowhere")
    assert [start_of(name) for name in names] == ["suite", "folder", "adapter", "run", "run", "hub"]
