"""What the name of a model stands for."""

from pathlib import Path

import pytest

from forgetting.pipeline.run.source import made_by, start_of


def test_a_run_an_adapter_a_folder_a_suites_model_and_the_hubs_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for file in (
        "org/whole/config.json",
        "org/adapter/adapter_config.json",
        "org/run/recipe.yaml",
        "org/run/model/config.json",
        "org/run/merged/config.json",
        "org/run/stages/learn/model/config.json",
    ):
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).write_text("{}")
    names = ("lab", "org/whole", "org/adapter", "org/run", "org/run/model", "org/nowhere")
    parts = ("org/run/merged", "org/run/stages/learn/model", "org/run/stages/learn")
    assert [start_of(name) for name in names] == ["suite", "folder", "adapter", "run", "run", "hub"]
    assert [start_of(name) for name in parts] == ["run", "run", "folder"]
    assert made_by(Path("org/run/stages/learn/model")) == (Path("org/run").absolute(), "learn")
