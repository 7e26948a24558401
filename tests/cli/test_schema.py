"""`forget schema`: JSON Schemas for editors."""

import json

import pytest

from tests.cli.command import command


def test_schemas_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    for what in ("recipe", "sweep"):
        code, out, _ = command(capsys, "schema", what)
        assert code == 0
        assert json.loads(out)["$schema"].startswith("https://json-schema.org")
    assert json.loads(command(capsys, "schema")[1])["title"] == "A recipe of forgetting"
