"""What the harness needs of the process is there while it works, and not a moment longer."""

import os

import pytest

from forgetting.evaluation.harness_process import code_allowed, hushed

CONSENT = "HF_ALLOW_CODE_EVAL"


@pytest.mark.parametrize("before", [None, "0"])
def test_code_may_run_only_inside_and_the_environment_is_put_back(
    before: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if before is None:
        monkeypatch.delenv(CONSENT, raising=False)
    else:
        monkeypatch.setenv(CONSENT, before)
    with pytest.raises(KeyboardInterrupt), code_allowed(True):
        assert os.environ[CONSENT] == "1"
        raise KeyboardInterrupt
    assert os.environ.get(CONSENT) == before
    with code_allowed(False):
        assert os.environ.get(CONSENT) == before


def test_nothing_is_printed_inside_and_the_environment_is_put_back(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DISABLE_MULTIPROC", raising=False)
    with hushed():
        assert os.environ["DISABLE_MULTIPROC"] == "1"
        print("advice")
    print("said")
    assert "DISABLE_MULTIPROC" not in os.environ
    assert capsys.readouterr().out == "said\n"
