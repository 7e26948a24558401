"""AlpacaEval's prompts are read word for word, and what cannot be a prompt is named with its row."""

import json
from pathlib import Path
from typing import Any

import pytest

from forgetting.benchmarks import alpaca_eval
from forgetting.benchmarks.alpaca_eval import FILE, HUB, as_outputs, load_prompts
from forgetting.core.errors import DataError

ROWS: list[Any] = [
    {"instruction": "  What is a lake?\n", "output": "Water.", "generator": "gpt4_1106_preview", "dataset": "koala"},
    {"instruction": "Nenne “zwei” Vögel 🙂", "input": "", "dataset": None},
]


def written(folder: Path, rows: object) -> str:
    file = folder / "prompts.json"
    file.write_text(json.dumps(rows))
    return str(file)


def test_instructions_are_kept_word_for_word_for_alpaca_eval_joins_by_them(tmp_path: Path) -> None:
    file = written(tmp_path, ROWS)
    prompts = load_prompts(file)
    assert [p.instruction for p in prompts] == [row["instruction"] for row in ROWS]
    assert as_outputs(prompts, ["Wet.", ""], "ours") == [
        {"dataset": "koala", "instruction": ROWS[0]["instruction"], "output": "Wet.", "generator": "ours"},
        {"dataset": file, "instruction": ROWS[1]["instruction"], "output": "", "generator": "ours"},
    ]
    assert load_prompts(file, limit=1) == prompts[:1]
    with pytest.raises(ValueError, match="zip"):
        as_outputs(prompts, ["Wet."], "ours")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "holds no prompts; give a list of objects with an 'instruction'"),
        ({"instruction": "a"}, "holds a dict, not a list of objects"),
        (["a"], "item 1: is a str, not an object with named fields"),
        ([ROWS[0], {"prompt": "b", "id": 3}], r"item 2: has no 'instruction' \(it has prompt, id\)"),
        ([ROWS[0], {}], r"item 2: has no 'instruction' \(it has nothing\)"),
        ([{"instruction": 7}], "item 1: the instruction is 7 .int., not text"),
        ([{"instruction": " "}], "item 1: the instruction is . . .str., not text"),
        ([{"instruction": None}], "item 1: the instruction is null .NoneType., not text"),
        ([{"instruction": "Translate.", "input": "chat"}], "item 1: has an 'input' of its own"),
        ([{"instruction": "\ud800"}], "item 1: the instruction holds half of a character"),
    ],
)
def test_what_is_no_prompt_is_named_with_its_row(tmp_path: Path, rows: object, message: str) -> None:
    with pytest.raises(DataError, match=f"prompts.json.*{message}") as caught:
        load_prompts(written(tmp_path, rows))
    assert "\n" not in str(caught.value)


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.json: no such file"):
        load_prompts(str(tmp_path / "none.json"))
    (tmp_path / "broken.json").write_text('[{"instruction": "a"')
    with pytest.raises(DataError, match=r"broken\.json:1: not JSON"):
        load_prompts(str(tmp_path / "broken.json"))


def test_without_a_file_the_prompts_are_those_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path, ROWS)
    asked = []

    def download(repository: str, name: str, repo_type: str) -> str:
        asked.append((repository, name, repo_type))
        return file

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    assert [p.dataset for p in load_prompts()] == ["koala", "alpaca_eval"]
    assert asked == [(HUB, FILE, "dataset")]


def test_a_hub_that_cannot_be_reached_is_one_line_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **keys: object) -> str:
        raise ConnectionError("no route to host\nand more")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", refuse)
    with pytest.raises(DataError, match=rf"cannot be fetched .*no route to host\); give {FILE} .*{HUB} as a file$"):
        alpaca_eval.load_prompts()
