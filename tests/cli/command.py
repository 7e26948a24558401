"""The command as a user starts it, in this process."""

from __future__ import annotations

import sys

import pytest

from forgetting import cli


def command(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """The exit code, and what was printed on standard output and on standard error."""
    capsys.readouterr()
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr(sys, "argv", ["forget", *map(str, arguments)])
        cli.main()
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err
