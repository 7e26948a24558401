"""A name that is nowhere is one line at once, without the hub's client trying again and again."""

import time
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub.errors import RepositoryNotFoundError

from forgetting.core.errors import ModelError
from forgetting.models import places
from forgetting.models.expression import load_expression
from forgetting.models.loading import load_model, save_model
from tests.models.tiny import tiny_model, tiny_tokenizer


class MissingError(RepositoryNotFoundError):
    """The hub's answer for a name that it does not know."""

    def __init__(self) -> None:
        Exception.__init__(self, "404")


class Hub:
    """A hub that has every model, or raises an error."""

    def __init__(self, error: Exception | None) -> None:
        self.error, self.asked = error, 0

    def model_info(self, name: str, *, revision: str | None, timeout: float) -> None:
        self.asked += 1
        if self.error is not None:
            raise self.error


def hub(monkeypatch: pytest.MonkeyPatch, error: Exception | None) -> Hub:
    there = Hub(error)
    monkeypatch.setattr(places, "model_info", there.model_info)
    monkeypatch.setattr(places, "is_offline_mode", lambda: False)
    return there


UNREACHED = OSError("[Errno -2] Name or service\nnot known")


@pytest.mark.parametrize("name", ["nolab", "org/nolab"])
def test_without_a_network_a_missing_model_is_one_line_after_one_question(
    name: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    session = hub(monkeypatch, UNREACHED)
    began = time.monotonic()
    with pytest.raises(ModelError) as error:
        load_model(name)
    assert str(error.value).startswith(
        f"{name}: no such folder, and not available from the hub (it cannot be reached: [Errno -2] Name or service not"
    )
    assert "\n" not in str(error.value) and session.asked == 1 and time.monotonic() - began < 5
    assert capfd.readouterr().err == ""


def test_a_missing_term_is_told_before_any_other_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_model(tiny_model("llama"), tiny_tokenizer(), tmp_path / "base")
    hub(monkeypatch, MissingError())
    monkeypatch.setattr("forgetting.models.expression.load_model", lambda *_, **__: pytest.fail("loaded"))
    with pytest.raises(ModelError, match=r"^nolab: no such folder, and not .* the hub \(it has no model of that"):
        load_expression(f"{tmp_path / 'base'} + nolab")


def test_an_adapter_whose_base_is_nowhere_names_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from forgetting.models.adapters import AdapterSpec, attach, save_adapter

    save_model(tiny_model("llama"), tiny_tokenizer(), tmp_path / "base")
    model = attach(load_model(tmp_path / "base").model, AdapterSpec(rank=2), name="x", seed=0)
    save_adapter(model, tiny_tokenizer(), tmp_path / "adapter")
    config = tmp_path / "adapter" / "adapter_config.json"
    config.write_text(config.read_text().replace(str(tmp_path / "base"), "org/gone"))
    hub(monkeypatch, MissingError())
    with pytest.raises(ModelError, match=r"adapter: its base model cannot be loaded: org/gone: no such folder"):
        load_model(tmp_path / "adapter")


def test_a_bare_name_points_to_a_folder_nearby(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my-model").mkdir()
    monkeypatch.chdir(tmp_path)
    hub(monkeypatch, UNREACHED)
    with pytest.raises(ModelError, match=r"my-modle: no such folder.*did you mean 'my-model'\?$"):
        load_model("my-modle")


def test_what_the_hub_has_is_left_to_its_client(monkeypatch: pytest.MonkeyPatch) -> None:
    session = hub(monkeypatch, None)
    places.check_place("org/there")
    assert session.asked == 1
    monkeypatch.setattr(places, "is_offline_mode", huggingface_hub.is_offline_mode)
