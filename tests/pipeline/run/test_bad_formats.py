"""Passages, token ids and dialogues that cannot be used end in one line, exit code 2, and nothing half-written."""

import json
from pathlib import Path

import numpy as np
import pytest

from forgetting.core.digest import examples_digest
from forgetting.data.examples import load_examples
from forgetting.data.source import Source
from forgetting.pipeline.run.run import run
from forgetting.recipe import load_recipe
from tests.pipeline.run.test_bad_input import forget, output

ROWS, LENGTH, VOCABULARY = 6, 16, 300


def passages(folder: Path, name: str, *, count: int = 4, words: int = 40) -> Path:
    """A file of passages; no two names share one."""
    file = folder / f"{name}.jsonl"
    texts = [" ".join(f"{name} {i} {k}" for k in range(words)) for i in range(count)]
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return file


def array(folder: Path, name: str, values: object | None = None, *, seed: int = 0) -> Path:
    file = folder / f"{name}.npy"
    made = np.random.default_rng(seed).integers(5, VOCABULARY, (ROWS, LENGTH)) if values is None else values
    np.save(file, made, allow_pickle=True)  # type: ignore[arg-type]
    return file


BAD_ARRAYS = {
    "ragged": (
        np.array([np.array([5, 6]), np.array([7])], dtype=object),
        "bad.npy: rows of unequal length; save whole",
    ),
    "float": (np.ones((2, 16)), "bad.npy: holds float64 numbers; token ids are whole numbers"),
    "flat": (np.arange(16), "bad.npy: has the shape [16]"),
    "empty": (np.ones((0, 16), dtype=int), "bad.npy: has the shape [0, 16]"),
}


@pytest.mark.parametrize("kind", list(BAD_ARRAYS))
def test_arrays_that_hold_no_ids(
    recipe_file: Path, world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    values, said = BAD_ARRAYS[kind]
    bad = array(tmp_path, "bad", values)
    assert said in forget(capsys, "run", recipe_file, f"data.forget={bad}")
    assert not output(recipe_file).exists()
    assert said in forget(capsys, "eval", world / "model", "--suite", f"tdec:forget={bad}")
    assert said in forget(capsys, "eval", world / "model", "--forget", bad)


def test_an_id_outside_the_vocabulary(
    recipe_file: Path, world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = np.full((3, 16), 7)
    ids[1, 4] = 50_256
    bad = array(tmp_path, "bad", ids)
    line = forget(capsys, "run", recipe_file, f"data.forget={bad}")
    assert "bad.npy, row 1: token id 50256 is outside the tokenizer's vocabulary of " in line
    assert not output(recipe_file).exists()
    line = forget(capsys, "eval", world / "model", "--suite", f"tdec:forget={bad},count=2,n=3")
    assert "bad.npy, row 1: token id 50256" in line


def test_prefixes_and_suffixes_that_do_not_match(
    recipe_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prefix, suffix = array(tmp_path, "p"), array(tmp_path, "s", np.ones((5, 3), dtype=int))
    line = forget(capsys, "run", recipe_file, f"data.forget={prefix}+{suffix}")
    assert f"s.npy: has 5 rows, but {prefix} has 6; give matching files" in line
    assert "two .npy files" in forget(capsys, "run", recipe_file, f"data.forget={{path: {prefix}, suffix: s.csv}}")
    assert not output(recipe_file).exists()


def test_ids_are_no_questions(recipe_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = forget(capsys, "run", recipe_file, f"data.forget={{path: {array(tmp_path, 'p')}, form: qa}}")
    assert "token ids have the form tokens, not qa" in line


@pytest.mark.parametrize("name", ["unseen", "retain"])
def test_forgotten_text_that_is_unseen_or_retained_too(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    for file in (passages(tmp_path, "f"), array(tmp_path, "p")):
        line = forget(capsys, "eval", world / "model", "--suite", f"tdec:forget={file},{name}={file},count=4,n=3")
        assert f"is in the {name} text too (4 such); {name} text must be other text" in line


def test_retained_ids_that_are_the_forgotten_ones(
    recipe_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = array(tmp_path, "p")
    line = forget(capsys, "run", recipe_file, f"data.forget={file}", f"data.retain={file}")
    assert "every forget example is also in the retain set (6 of 6)" in line
    assert not output(recipe_file).exists()


def test_passages_that_are_all_shorter_than_n(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = array(tmp_path, "p", np.random.default_rng(0).integers(5, 99, (4, 8)))
    line = forget(capsys, "eval", world / "model", "--suite", f"tdec:forget={file},count=4")
    assert "forget: the longest passage has 8 tokens, but overlaps of 10 tokens need at least 11" in line


def test_an_oracle_of_another_suite(
    recipe_file: Path, world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, other = array(tmp_path, "mine"), array(tmp_path, "other", seed=1)
    records = tmp_path / "oracle.jsonl"
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        from forgetting import cli

        arguments = ["eval", world / "model", "--suite", f"tdec:forget={other},count=6,n=3", "--records", records]
        patch.setattr("sys.argv", ["forget", *map(str, arguments)])
        cli.main()
    assert ended.value.code == 0
    capsys.readouterr()
    line = forget(capsys, "eval", world / "model", "--suite", f"tdec:forget={mine},count=6,n=3", "--oracle", records)
    assert "the oracle's records are of other questions: split 'forget', id '" in line
    assert "(0 of 6 match); evaluate the oracle on the same suite" in line
    line = forget(capsys, "run", recipe_file, f"oracle={records}")
    assert "(0 of 12 match)" in line
    assert not (output(recipe_file) / "results.json").exists() and not (output(recipe_file) / "stages").exists()


def test_a_folder_without_dialogues(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = forget(capsys, "eval", world / "model", "--suite", f"dialogue:{tmp_path}")
    assert "holds none of blended_skill_talk, empathetic_dialogues, wizard_of_wikipedia, wizard_of_internet" in line
    line = forget(capsys, "eval", world / "model", "--suite", f"dialogue:{tmp_path / 'none'}")
    assert "no such folder; write dialogue:FOLDER" in line


def test_texts_that_are_not_there(
    recipe_file: Path, world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    passages(tmp_path, "wikitext")
    line = forget(capsys, "eval", world / "model", "--suite", f"text:{tmp_path / 'wikitxt.jsonl'}")
    assert "did you mean 'wikitext.jsonl'?" in line
    line = forget(capsys, "run", recipe_file, f"evaluate=['text:{tmp_path / 'wikitext.jsonl'},limt=3']")
    assert "has no meaning; write text:FILE, or text:FILE,limit=100" in line
    assert not output(recipe_file).exists()


def test_token_ids_are_unlearned_and_measured_from_end_to_end(recipe_file: Path, tmp_path: Path) -> None:
    prefix, suffix, unseen = (array(tmp_path, name, seed=i) for i, name in enumerate("psu"))
    suite = f"tdec:forget={prefix}+{suffix},unseen={unseen},count=6,n=3"
    folder = run(
        load_recipe(
            str(recipe_file), [f"data.forget={{suite: '{suite}'}}", f"evaluate=['{suite}']", "duration=1 steps"]
        )
    )
    results = json.loads((folder / "results.json").read_text())
    assert results["status"] == "complete"
    records = [json.loads(line) for line in (folder / "records" / "before.jsonl").read_text().splitlines()]
    assert {r["split"]: r["score"]["tokens"] for r in records} == {"forget": 2 * LENGTH - 1, "unseen": LENGTH - 1}
    assert not any(r["answer"].replace(" ", "").isdigit() for r in records), "the records hold text, not ids"


def test_the_digest_of_the_data_covers_the_ids(tmp_path: Path) -> None:
    one, other = array(tmp_path, "p"), np.random.default_rng(0).integers(5, VOCABULARY, (ROWS, LENGTH))
    other[5, 15] += 1
    first = load_examples(Source(path=str(one)))
    second = load_examples(Source(path=str(array(tmp_path, "q", other))))
    assert examples_digest(first) == examples_digest(load_examples(Source(path=str(one)))) != examples_digest(second)
