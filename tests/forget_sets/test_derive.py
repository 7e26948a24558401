"""What a model writes for a forget set is kept where it can be used, labelled, and made again by its seed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from forgetting.core.errors import DataError, RecipeError, RunError
from forgetting.core.folder import is_complete
from forgetting.core.progress import Voice
from forgetting.data.alternates import load_alternates, paired
from forgetting.data.derived import Retained, is_supported, question_in, why_no_alternate, why_no_paraphrase
from forgetting.data.examples import load_examples
from forgetting.data.source import Source
from forgetting.forget_sets.derive import Wanted, derive
from forgetting.forget_sets.writer import Writer
from forgetting.pipeline.run.plan import check
from forgetting.recipe import load_recipe

FERRY = "The ferry left Kilmore at nine in the morning. Tess Doyle stood at the rail."


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "ferry.txt").write_text(FERRY)
    return tmp_path / "docs"


def rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


class Scripted:
    """Stands in for what a model that follows text would write."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, replies: dict[str, list[str]]) -> None:
        self.asked: list[str] = []

        def written(
            writer: Writer, prompts: list[tuple[int, ...]], *, what: str, **_: object
        ) -> list[tuple[str, bool]]:
            tokenizer = writer.loaded.tokenizer
            self.asked += [tokenizer.decode(p, skip_special_tokens=True) for p in prompts]
            kind = next(name for name in replies if what.startswith(name))
            return [(replies[kind][i % len(replies[kind])], True) for i in range(len(prompts))]

        monkeypatch.setattr(Writer, "written", written)


def test_what_is_usable_is_kept_and_says_where_it_is_from(
    monkeypatch: pytest.MonkeyPatch, world: Path, docs: Path, tmp_path: Path
) -> None:
    answers = [" When did the ferry leave?\nmore", " No idea."]
    Scripted(
        monkeypatch,
        {
            "retain": [
                " bakers of the town open early and sell bread",
                " ferry left. Tess Doyle, Kilmore, the rail. Kilmore",
            ],
            "questions": answers,
            "answers": [" At nine in the morning"],
            "paraphrases": [" At nine the ferry set off from Kilmore; at the rail stood Tess Doyle.", FERRY],
        },
    )
    out = tmp_path / "out"
    found = derive(str(docs), str(world / "model"), out, Wanted(retain=1, questions=2, paraphrases=2, tokens=30))
    by = {"by": str(world / "model"), "from": "ferry.txt"}
    (question,) = rows(out / "questions.jsonl")
    assert (question["prompt"], question["response"]) == ("When did the ferry leave?", "At nine in the morning")
    assert question["derived"] == {**by, "how": "question and answer, temperature 0.7"}
    assert question["group"] == "ferry.txt"
    (again,) = rows(out / "paraphrases.jsonl")
    assert again["text"].startswith("At nine the ferry set off") and again["derived"]["how"].startswith("paraphrase")
    (text,) = rows(out / "retain.jsonl")
    assert text["text"].startswith("bakers of the town") and text["derived"]["how"] == "continuation, temperature 1"
    assert found["made"]["questions"] == {"kept": 1, "dropped": {"no question": 1}}
    assert found["made"]["paraphrases"] == {"kept": 1, "dropped": {"repeats the text": 1}}
    provenance = json.loads((out / "provenance.json").read_text())
    assert provenance["by"]["weights"] and provenance["settings"]["seed"] == 0 and is_complete(out)
    assert {e.id for e in load_examples(Source(path=str(out / "questions.jsonl")))} == {"ferry.txt#q1"}


def test_the_same_seed_writes_the_same_and_another_other_text(world: Path, docs: Path, tmp_path: Path) -> None:
    model = str(world / "model")
    texts = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        derive(str(docs), model, tmp_path / name, Wanted(retain=4, questions=0, paraphrases=0, tokens=24, seed=seed))
        texts.append((tmp_path / name / "retain.jsonl").read_text())
    assert texts[0] == texts[1] != texts[2]


def test_a_model_that_follows_nothing_is_said_to_and_leaves_nothing(world: Path, docs: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"model: nothing that it wrote can be used \(questions: 1 no question"):
        derive(str(docs), str(world / "model"), tmp_path / "out", Wanted(retain=0, temperature=0, tokens=8))
    assert not list(tmp_path.glob("*out*"))


def test_an_interrupted_writer_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, world: Path, docs: Path, tmp_path: Path
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Writer, "written", interrupted)
    with pytest.raises(KeyboardInterrupt):
        derive(str(docs), str(world / "model"), tmp_path / "out", Wanted())
    assert [p.name for p in tmp_path.iterdir()] == ["docs"]


def test_a_forget_set_of_questions_gets_its_questions_in_other_words(
    monkeypatch: pytest.MonkeyPatch, world: Path, tmp_path: Path
) -> None:
    Scripted(monkeypatch, {"paraphrases": [" In which place does guest 0 live now?"]})
    source = Source(path=str(world / "forget.jsonl"), limit=1)
    derive(source, str(world / "model"), tmp_path / "out", Wanted(retain=0, tokens=20))
    (row,) = rows(tmp_path / "out" / "paraphrases.jsonl")
    assert (row["prompt"], row["response"]) == ("In which place does guest 0 live now?", "In house 0 of lane 0.")
    assert not (tmp_path / "out" / "questions.jsonl").exists()


def test_a_forget_set_of_questions_gets_other_answers_of_the_model_s_own(
    monkeypatch: pytest.MonkeyPatch, world: Path, tmp_path: Path
) -> None:
    replies = [" In house 7 of lane 3.", " in house 7 of lane 3.", " In house 0 of lane 0, on the left.", " "]
    script = Scripted(monkeypatch, {"alternates": replies})
    source, out = Source(path=str(world / "forget.jsonl"), limit=2), tmp_path / "out"
    found = derive(source, str(world / "model"), out, Wanted(retain=0, paraphrases=0, alternates=4, tokens=20))
    dropped = {"repeats another": 2, "gives the answer": 1, "no answer": 2}
    assert found["made"] == {"alternates": {"kept": 3, "dropped": dropped}}
    assert "Answer: In house 0 of lane 0." in script.asked[0]
    forget = load_examples(source)
    pairs = paired(forget, load_alternates(Source(path=str(out / "alternates.jsonl"))), seed=0)
    assert [(p.prompt, p.response) for p in pairs] == [
        (forget[0].prompt, "In house 7 of lane 3."),
        (forget[1].prompt, "In house 7 of lane 3."),
        (forget[1].prompt, "In house 0 of lane 0, on the left."),
    ]
    assert rows(out / "alternates.jsonl")[0]["derived"]["how"] == "alternate, temperature 0.7"


def test_a_chat_model_is_asked_by_its_template(
    monkeypatch: pytest.MonkeyPatch, world: Path, docs: Path, tmp_path: Path
) -> None:
    import shutil

    model = shutil.copytree(world / "model", tmp_path / "chat")
    template = (
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<A>{% endif %}"
    )
    (model / "chat_template.jinja").write_text(template)
    script = Scripted(
        monkeypatch, {"paraphrases": ["<think>x</think> At nine the ferry left; Tess Doyle was at the rail."]}
    )
    derive(str(docs), str(model), tmp_path / "out", Wanted(retain=0, questions=0, tokens=20))
    assert script.asked[0].startswith("<user>Say this in other words") and script.asked[0].endswith(f"{FERRY}<A>")
    assert rows(tmp_path / "out" / "paraphrases.jsonl")[0]["text"].startswith("At nine")


def test_a_run_says_that_its_data_were_written_by_a_model(world: Path, recipe_file: Path, tmp_path: Path) -> None:
    derived = {"text": "Some bakers open early.", "derived": {"by": "m", "how": "continuation", "from": "Some"}}
    (tmp_path / "retain.jsonl").write_text(json.dumps(derived) + "\n" + json.dumps({"text": "Own text here."}) + "\n")
    said: list[str] = []
    check(load_recipe(str(recipe_file), [f"data.retain={tmp_path / 'retain.jsonl'}"]), voice=Voice(say=said.append))
    assert any("retain.jsonl: 1 of 2 rows were written by a model (forget derive)" in line for line in said)


def test_rows_without_a_weight_are_said_to_be_left_out(recipe_file: Path, tmp_path: Path) -> None:
    lines = [{"text": "One two three.", "token_weights": [0, 0]}, {"text": "Own text here."}]
    (tmp_path / "retain.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    said: list[str] = []
    check(load_recipe(str(recipe_file), [f"data.retain={tmp_path / 'retain.jsonl'}"]), voice=Voice(say=said.append))
    assert any("retain.jsonl: 1 of 2 rows are left out: all their token weights are 0" in line for line in said)


def test_retain_text_neither_repeats_nor_tells_what_is_to_be_forgotten(docs: Path) -> None:
    (docs / "ferry.txt").write_text(f"{FERRY} Beside her slept Old Brannigan.")
    retained = Retained(load_examples(Source(path=str(docs))))
    fine = " bakers of this town open early and sell bread to all"
    for text in (fine, fine + "!", " song of Tess Doyle, who left Kilmore with Old Brannigan", " few"):
        retained.add("The", text, True, {})
    assert len(retained.kept.rows) == 1
    assert retained.kept.dropped == {"repeats another": 1, "tells of the forget set": 1, "too short": 1}
    retained.add("We", " went to the market and bought apples and pears. Then we we", False, {})
    assert retained.kept.rows[-1]["text"] == "We went to the market and bought apples and pears."


def test_what_counts_as_question_answer_and_paraphrase() -> None:
    assert question_in('Sure! "Who left at nine?" Yes') == "Who left at nine?"
    assert question_in("Why?") is None and question_in("no question") is None
    assert is_supported("at nine in the morning", FERRY) and not is_supported("in Paris", FERRY)
    assert not is_supported("the", FERRY)
    assert why_no_paraphrase("bread and butter", FERRY) == "says something else"
    assert why_no_paraphrase(FERRY, FERRY) == "repeats the text"
    assert why_no_alternate("At ten in the evening", "At nine in the morning") is None
    assert why_no_alternate("In the morning at nine, of course", "At nine in the morning") == "gives the answer"
    assert why_no_alternate("?", "At nine") == "no answer" and why_no_alternate("It is", "It is") == "gives the answer"


@pytest.mark.parametrize(
    ("keys", "error", "said"),
    [
        ({"retain": 0, "questions": 0, "paraphrases": 0}, RecipeError, "nothing is asked for; give --retain"),
        ({"retain": -1}, RecipeError, "nothing is asked for"),
        ({"tokens": 0}, RecipeError, "--tokens is 0; give at least 1"),
        ({"temperature": -1.0}, RecipeError, "--temperature is -1; give 0 or more"),
        ({"temperature": float("nan")}, RecipeError, "--temperature is nan"),
        ({"tokens": 2000}, Exception, "leave no room for a text beside 2000 tokens to write; lower --tokens"),
    ],
)
def test_settings_without_meaning_are_one_line(
    world: Path, docs: Path, tmp_path: Path, keys: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        derive(str(docs), str(world / "model"), tmp_path / "out", Wanted(**keys))
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_not_written_over(world: Path, docs: Path) -> None:
    with pytest.raises(RunError, match="docs: holds other files, which would be lost"):
        derive(str(docs), str(world / "model"), docs, Wanted())
