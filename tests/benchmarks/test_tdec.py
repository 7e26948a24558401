"""Passages become forget, unseen and retained text; what cannot be used is named in one line."""

import csv
from pathlib import Path

import numpy as np
import pytest

from forgetting.benchmarks.tdec import drawn, tdec_lab, tdec_suite, tdec_variant
from forgetting.core.errors import DataError, ForgettingError, RecipeError
from forgetting.core.example import Example
from forgetting.data.formatting import Formatting
from forgetting.evaluation.answers import answer
from forgetting.evaluation.extraction import extract
from forgetting.metrics.score import score
from tests.golden import REAL_DATA, needs
from tests.models.tiny import tiny_model, tiny_tokenizer

TDEC = REAL_DATA / "tdec"


def passages(count: int, name: str = "p", words: int = 14) -> list[Example]:
    return [
        Example(id=f"{name}{i}", form="text", response=f"{name}{i} " + "the cat sat on big red " * (words // 6))
        for i in range(count)
    ]


def text_file(path: Path, count: int, name: str) -> str:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["doc_id", "corpus", "text"])
        writer.writerows([i, "x", e.response] for i, e in enumerate(passages(count, name)))
    return str(path)


def test_forget_and_unseen_are_measured_verbatim_and_retained_text_is_halved() -> None:
    suite = tdec_suite(passages(3), unseen=passages(5, "u"), retain=passages(7, "r"), count=3, n=(4, 2))
    splits = {split.name: split for split in suite.splits}
    assert [(s.name, len(s.examples), s.extraction) for s in suite.splits] == [
        ("forget", 3, (4, 2)),
        ("unseen", 3, (4, 2)),
        ("retain", 3, None),
    ]
    assert not {e.id for e in suite.data["retain"]} & {e.id for e in splits["retain"].examples}
    assert suite.data["forget"] == splits["forget"].examples


def test_the_suite_is_measured_from_end_to_end() -> None:
    model, tokenizer = tiny_model("gpt_neo"), tiny_tokenizer()
    suite = tdec_suite(passages(3), unseen=passages(3, "u"), retain=passages(4, "r"), count=3, n=(4,))
    records = []
    for split in suite.splits:
        if split.extraction:
            records += extract(model, tokenizer, split.examples, split=split.name, n=split.extraction)
        else:
            formatting = Formatting(template="plain")
            records += answer(
                model, tokenizer, split.examples, split=split.name, formatting=formatting, max_new_tokens=0
            )
    measures = {m.key: m for m in score(suite.metrics, records)}
    assert {k for k, m in measures.items() if m.value is None} == set()
    assert {"forget/el_4", "unseen/el_4", "forget/el_4_literal", "unseen/memorization_accuracy"} <= measures.keys()
    assert measures["forget/sequence_tokens"].value == 12, "as long as it is: nothing is filled up"


def test_parts_of_a_draw_are_disjoint_and_repeatable() -> None:
    pool = passages(20)
    parts = [drawn(pool, 4, seed=3, part=part) for part in range(5)]
    assert len({e.id for part in parts for e in part}) == 20
    assert parts[1] == drawn(pool, 4, seed=3, part=1) != drawn(pool, 4, seed=4, part=1)
    with pytest.raises(DataError, match="has 20 passages, but part 5 of 4 each needs 24"):
        drawn(pool, 4, seed=3, part=5)


@pytest.mark.parametrize("name", ["unseen", "retain"])
def test_text_that_is_forgotten_is_neither_unseen_nor_retained(name: str) -> None:
    with pytest.raises(DataError, match=f"is in the {name} text too \\(2 such\\)"):
        tdec_suite(passages(2), count=2, **{name: [*passages(2), *passages(3, "z")]})  # type: ignore[arg-type]


def test_questions_are_no_passages() -> None:
    with pytest.raises(DataError, match="q: is a question, not a passage"):
        tdec_suite([Example(id="q", prompt="a", response="b")], count=1)


def test_a_variant_names_its_files(tmp_path: Path) -> None:
    files = {name: text_file(tmp_path / f"{name}.csv", 4, name[0]) for name in ("forget", "unseen", "retain")}
    variant = ",".join(f"{k}={v}" for k, v in files.items()) + ",count=4,n=3+5"
    suite = tdec_variant(variant)
    assert [s.name for s in suite.splits] == ["forget", "unseen", "retain"]
    assert suite.splits[0].extraction == (3, 5)


def test_fast_measures_fewer_retained_passages(tmp_path: Path) -> None:
    variant = f"forget={text_file(tmp_path / 'f.csv', 2, 'f')},retain={text_file(tmp_path / 'r.csv', 80, 'r')},count=2"
    whole, fast = tdec_variant(variant), tdec_variant(variant, fast=True)
    assert [len(s.examples) for s in whole.splits] == [2, 40]
    assert [len(s.examples) for s in fast.splits] == [2, 32]
    assert fast.splits[0] == whole.splits[0]


@pytest.mark.parametrize("variant", ["", "forgets=a.csv", "forget=a.csv,n=x", "unseen=a.csv", "forget=a,count=1,n=0"])
def test_a_variant_without_meaning_is_one_line(variant: str, tmp_path: Path) -> None:
    with pytest.raises((RecipeError, DataError)) as found:
        tdec_variant(variant)
    assert isinstance(found.value, ForgettingError) and "\n" not in str(found.value)


def test_the_lab_brings_passages() -> None:
    suite = tdec_lab()
    splits = {s.name: s for s in suite.splits}
    assert len(splits["forget"].examples) == 32 and len(splits["unseen"].examples) == 16
    assert {e.popularity for e in splits["forget"].examples} == {8.0}


def id_files(folder: Path) -> tuple[str, list[list[int]]]:
    ids = np.random.default_rng(0).integers(4, 97, (3, 12)).astype(np.uint16)
    np.save(folder / "p.npy", ids[:, :6])
    np.save(folder / "s.npy", ids[:, 6:])
    return f"{folder / 'p.npy'}+{folder / 's.npy'}", ids.tolist()


def test_token_ids_are_measured_as_they_are(tmp_path: Path) -> None:
    place, ids = id_files(tmp_path)
    suite = tdec_variant(f"forget={place},count=3,n=3")
    assert [list(e.token_ids) for e in suite.data["forget"]] == ids
    records = extract(tiny_model("gpt2"), tiny_tokenizer(), suite.splits[0].examples, split="forget", n=(3,))
    assert [r.score.tokens for r in records if r.score] == [11] * 3
    assert records[0].answer == tiny_tokenizer().decode(ids[0])


def test_ids_that_are_forgotten_are_not_unseen(tmp_path: Path) -> None:
    place, _ = id_files(tmp_path)
    with pytest.raises(DataError, match=r"p\.npy, row 0: is in the unseen text too \(3 such\)"):
        tdec_variant(f"forget={place},unseen={place},count=3")


def test_what_is_brought_to_train_on_ends_where_what_is_measured_ends() -> None:
    suite = tdec_suite(passages(2), unseen=passages(2, "u"), retain=passages(2, "r"), count=2)
    splits = {s.name: s.examples for s in suite.splits}
    assert suite.data["forget"] == splits["forget"]
    assert {e.max_tokens for name in ("forget", "unseen") for e in splits[name]} == {200}
    assert {e.max_tokens for e in (*suite.data["retain"], *splits["retain"])} == {None}


def test_a_hub_dataset_is_read_by_its_text_column(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    asked: list[tuple] = []

    def load(*arguments: object, **keywords: object) -> list[dict]:
        asked.append((*arguments, keywords["split"]))
        return [{"text": e.response, "url": "x"} for e in passages(3, str(arguments[0])[-1])]

    monkeypatch.setattr(datasets, "load_dataset", load)
    suite = tdec_variant("forget=hub:org/a,retain=hub:org/b/config/test,count=3")
    assert asked == [("org/a", None, "train"), ("org/b", "config", "test")]
    assert suite.data["forget"][0].where == "org/a/train[0]"
    assert [e.form for e in suite.data["forget"]] == ["text"] * 3


@needs(TDEC)
def test_the_five_published_sets_are_read() -> None:
    for number in range(5):
        suite = tdec_suite(str(TDEC / f"lm_extraction_32_{number}.csv"))
        assert len(suite.data["forget"]) == 32
