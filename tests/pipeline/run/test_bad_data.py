"""Folders, hub datasets, conversations and searched files that cannot be used end in one line and write nothing."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import pytest

from tests.data import chat_templates
from tests.data.tokenizers import CHATML
from tests.pipeline.run.test_bad_input import forget, output

FOLDERS: dict[str, tuple[dict[str, bytes], str]] = {
    "empty": ({}, "holds no files; put documents or data into it (.txt, .md, .pdf"),
    "hidden": ({".DS_Store": b"x"}, "holds no files"),
    "latin-1": ({"a.txt": "na\xefve".encode("latin-1")}, "a.txt: not UTF-8 text (byte 2); save it as UTF-8"),
    "utf-16": (
        {"a.md": "text".encode("utf-16")[:-1]},
        "a.md: begins as UTF-16 and goes on otherwise; save it as UTF-8",
    ),
    "binary": ({"a.txt": b"a\0b"}, "a.txt: holds a zero byte (byte 1), so it is no text"),
    "blank": ({"a.txt": b"\n \n"}, "holds no files (1 empty file was left out); put documents"),
    "odt": (
        {"a.txt": b"x", "b.odt": b"PK"},
        "b.odt: a folder of documents holds .txt, .md, .pdf, .docx, .html, .htm files",
    ),
    "mixed": ({"a.txt": b"x", "b.jsonl": b'{"text": "y"}'}, "holds .jsonl and documents (b.jsonl, a.txt); give each"),
    "two kinds": ({"a.csv": b"text\nx\n", "b.jsonl": b'{"text": "y"}'}, "holds .csv and .jsonl (a.csv, b.jsonl)"),
    "cut archive": ({"a.txt.gz": gzip.compress(b"words " * 99)[:-8]}, "a.txt.gz: cannot be read"),
    "no archive": ({"a.md.gz": b"plain"}, "a.md.gz: cannot be read (Not a gzipped file"),
    "bad shard": ({"a.jsonl": b'{"text": "x"}\n', "b.jsonl": b"[1]\n"}, "b.jsonl:1: is a list, not an object"),
    "shard bytes": ({"a.jsonl": b'{"text": "x"}\n\xff'}, "a.jsonl:2: not UTF-8 text (byte 0 of the line)"),
    "torn parquet": ({"a.parquet": b"PAR1"}, "a.parquet: not a whole Parquet file"),
    "torn save": ({"state.json": b"{}", "dataset_info.json": b"{}"}, "cannot be loaded (KeyError"),
}


def fill(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("case", list(FOLDERS))
def test_folders(recipe_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str) -> None:
    files, said = FOLDERS[case]
    folder = fill(tmp_path / "docs", files)
    assert said in forget(capsys, "run", recipe_file, f"data.forget={folder}")
    assert not output(recipe_file).exists()


def test_a_folder_that_is_not_there(recipe_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "docs").mkdir()
    assert "dosc: no such file; did you mean 'docs'?" in forget(
        capsys, "run", recipe_file, f"data.forget={tmp_path / 'dosc'}"
    )


def test_documents_that_are_retained_too(recipe_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = fill(tmp_path / "docs", {"a.txt": b"one two three", "b.txt": b"four five six"})
    line = forget(capsys, "run", recipe_file, f"data.forget={folder}", f"data.retain={folder}")
    assert "every forget example is also in the retain set (2 of 2)" in line


def test_documents_as_questions(recipe_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = fill(tmp_path / "docs", {"a.txt": b"one two three"})
    line = forget(capsys, "run", recipe_file, f"data.forget={{path: {folder}, form: qa}}")
    assert "a.txt: no column for the prompt" in line
    line = forget(capsys, "run", recipe_file, f"data.forget={{path: {folder}, columns: {{text: body}}}}")
    assert "a.txt: no column 'body' (mapped to text)" in line


def test_a_hub_dataset_without_a_network(
    recipe_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    def unreachable(*arguments: object, **keywords: object) -> None:
        raise ConnectionError("Couldn't reach 'org/set' on the Hub (LocalEntryNotFoundError)")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    for place in ("hub:org/set", "{hub: org/set, name: en, split: test, revision: abc, limit: 3}"):
        line = forget(capsys, "run", recipe_file, f"data.forget={place}")
        assert "the hub cannot be reached" in line and "hf download --repo-type dataset org/set --local-dir" in line
    assert "org/set/en/test" in line


def test_a_hub_dataset_with_keys_that_mean_nothing(recipe_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "limit" in forget(capsys, "run", recipe_file, "data.forget={hub: org/set, limit: 0}")
    assert "did you mean 'revision'?" in forget(capsys, "run", recipe_file, "data.forget={hub: org/set, revison: x}")


def chat_model(world: Path, tmp_path: Path, template: str | None) -> Path:
    model = shutil.copytree(world / "model", tmp_path / "chat")
    if template is not None:
        (model / "chat_template.jinja").write_text(template)
    return model


TALK = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Ho"},
    {"role": "user", "content": "Who?"},
    {"role": "assistant", "content": "Ada"},
]
TALKS: dict[str, tuple[object, str | None, tuple[str, ...], str]] = {
    "no template": (TALK, None, (), "talks.jsonl:1: a conversation of several turns needs a chat template"),
    "chat without a template": (TALK, None, ("format.template=chat",), "the tokenizer has no chat template"),
    "no system role": (TALK, chat_templates.TURNS, ("format.system=Be brief.",), "System role not supported"),
    "out of order": (TALK[1:], chat_templates.TURNS, (), "Roles must alternate"),
    "marks nothing": (TALK, chat_templates.MARKS_NOTHING, (), "marks nothing of"),
    "marks headers": (TALK, chat_templates.MARKS_HEADERS, (), "marks other text than the answer of"),
    "changes its frame": (TALK, chat_templates.SUMMING, (), "cannot be told from it; mark it in the template"),
    "ends the last alone": (TALK, chat_templates.LAST_ONLY_END, ("format.turns=all",), "or format.turns=last"),
    "broken template": (TALK, "{% for m in", (), "refuses it (unexpected"),
    "unknown turns": (TALK, CHATML, ("format.turns=some",), "'format.turns'"),
    "no answer at the end": (TALK[:3], CHATML, (), "the last two messages must be user and assistant"),
    "an unknown speaker": ([{"from": "bot", "value": "x"}], CHATML, (), "must be system, user or assistant"),
    "no list": ("Hi", CHATML, (), "messages are not a list of objects"),
    "an answer without text": ([*TALK[:3], {"role": "assistant", "content": " "}], CHATML, (), "the response is empty"),
    "content in parts": ([*TALK[:3], {"role": "assistant", "content": [1]}], CHATML, (), "content is not text"),
}


@pytest.mark.parametrize("case", list(TALKS))
def test_conversations(
    recipe_file: Path, world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    messages, template, overrides, said = TALKS[case]
    (tmp_path / "talks.jsonl").write_text(json.dumps({"messages": messages}))
    model = chat_model(world, tmp_path, template)
    data = f"data.forget={tmp_path / 'talks.jsonl'}"
    assert said in forget(capsys, "run", recipe_file, f"model={model}", data, *overrides)
    assert not output(recipe_file).exists()


def test_derive(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, out = world / "model", tmp_path / "out"
    docs = fill(tmp_path / "docs", {"a.txt": b"one two three"})

    def line(source: object, *more: object, by: object = model) -> str:
        return forget(capsys, "derive", source, "--model", by, "--out", out, *more)

    assert "no such file" in line(tmp_path / "none")
    assert "no such model folder; did you mean 'model'?" in line(docs, by=world / "modle")
    assert "nothing is asked for" in line(docs, "--retain", 0, "--questions", 0, "--paraphrases", 0)
    assert "lower --tokens" in line(docs, "--tokens", 5000)
    assert "nothing that it wrote can be used" in line(docs, "--retain", 0, "--tokens", 4)
    assert "no such file" in line(docs, "--prompts", tmp_path / "none.txt")
    (tmp_path / "ids.jsonl").write_text('{"token_ids": [5, 6, 7]}')
    assert "holds token ids, which cannot be asked about" in line(tmp_path / "ids.jsonl")
    assert not out.exists()


def test_find(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own, other = world / "forget.jsonl", world / "retain.jsonl"
    out = tmp_path / "found.jsonl"
    assert "no such file; did you mean 'retain.jsonl'?" in forget(capsys, "find", own, world / "retian.jsonl")
    assert "name another file, ending in .jsonl" in forget(capsys, "find", own, other, "--out", tmp_path / "a.csv")
    assert "name another file, ending in .jsonl" in forget(capsys, "find", own, other, "--out", other)
    (tmp_path / "bad.jsonl").write_text('{"text": "x"}\n{"text"\n')
    assert "bad.jsonl:2: not JSON" in forget(capsys, "find", own, other, tmp_path / "bad.jsonl", "--out", out)
    (tmp_path / "empty.jsonl").write_text("\n")
    assert "empty.jsonl: holds no rows; leave it out" in forget(capsys, "find", own, tmp_path / "empty.jsonl")
    assert "holds no examples" in forget(capsys, "find", tmp_path / "empty.jsonl", own)
    assert "token ids have no words" in forget(capsys, "find", own, tmp_path / "a.npy")
    assert "cannot read '.doc' files" in forget(capsys, "find", own, fill(tmp_path / "d", {"a.doc": b"x"}) / "a.doc")
    assert not list(tmp_path.glob("*found*"))
