"""Publishes a run's model on the Hugging Face hub with a card: prepares a folder and uploads it."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from huggingface_hub import HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from forgetting.benchmarks.registry import shipped_models
from forgetting.core.errors import RunError
from forgetting.core.progress import SILENT, Voice
from forgetting.models.adapters import is_adapter
from forgetting.models.places import check_as_written
from forgetting.pipeline.finished_run.model_card import model_card
from forgetting.report.verdict.verdict import verdict
from forgetting.runs.began import START
from forgetting.runs.paths import RunPaths
from forgetting.runs.results import Results

_FILES = (
    "*.safetensors",
    "*.safetensors.index.json",
    "adapter_config.json",
    "added_tokens.json",
    "chat_template.*",
    "config.json",
    "generation_config.json",
    "merges.txt",
    "special_tokens_map.json",
    "*.model",
    "tokenizer*.json",
    "vocab.*",
)
"""The files of a model's folder that are published."""
_LICENSE = r"[A-Za-z0-9][A-Za-z0-9.-]*"
"""How the hub writes the name of a license."""
_PICKLED = (".bin", ".ckpt", ".h5", ".msgpack", ".pkl", ".pt", ".pth")


class Hub(Protocol):
    """The methods of `huggingface_hub.HfApi` that are used."""

    def create_repo(self, repo_id: str, *, private: bool | None = ..., exist_ok: bool = ...) -> object:
        """Creates the repository if there is none."""
        ...

    def upload_folder(self, *, repo_id: str, folder_path: str | Path, commit_message: str | None = ...) -> object:
        """Uploads a whole folder in one commit."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What the hub shows of a run's model, and whether a model that failed is published."""

    base: str | None = None
    """The hub's name of the base; None: that of the recipe, if it is one."""
    license_name: str | None = None
    """For the card."""
    despite_failure: bool = False
    """Also a run that collapsed, missed its goal, moved nothing, or did not forget; the card says so."""


def prepare(run: Path, name: str, folder: Path, how: Publication | None = None) -> Path:
    """Writes the files to publish into a new folder: weights (safetensors), tokenizer, configs, README.md.

    Local paths are removed from the configs.

    Args:
        run: a finished run's folder.
        name: USER/NAME on the hub.
        folder: new or empty.
        how: what the hub shows of it; None: the defaults.

    Raises:
        ModelError: a file of the model was damaged.
        RunError: no finished run, one that failed, no model in it, weights in another format, a name or license that
            the hub does not accept, or a folder that is not empty or cannot be written.
    """
    how = how or Publication()
    _check_name(name)
    if how.base is not None:
        _check_name(how.base, "--base")
    if how.license_name is not None and not re.fullmatch(_LICENSE, how.license_name):
        raise RunError(f"--license '{how.license_name}': write it as the hub does, such as apache-2.0")
    results = Results.load(run)
    judged = verdict(results)
    if judged.failed and not how.despite_failure:
        raise RunError(f"{run}: {' '.join(judged.failed)} Add --despite-failure to push it with a card that says so")
    model = _publishable(run)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(f"{folder}: is not empty; choose a new folder")
    base = how.base or hub_base(results)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as partial:
            _copy(model, Path(partial), base)
            card = model_card(
                results,
                judged,
                name=name,
                base=base,
                adapter=is_adapter(model),
                curlora=_is_curlora(model),
                license_name=how.license_name,
            )
            (Path(partial) / "README.md").write_text(str(card), encoding="utf-8")
            shutil.copytree(partial, folder, dirs_exist_ok=True)
    except OSError as error:
        raise RunError(f"{folder}: cannot be written ({error.strerror or error}); choose another folder") from error
    return folder


def _publishable(run: Path) -> Path:
    """The folder of the run's model, all of whose weights are safetensors, as they were written."""
    model = RunPaths(run).model
    if not any((model / file).is_file() for file in ("config.json", "adapter_config.json")):
        raise RunError(f"{run}: holds no model (not finished, or purged), so there is nothing to push")
    pickled = next((f for f in sorted(model.iterdir()) if f.suffix in _PICKLED), None)
    if pickled is not None or not any(model.glob("*.safetensors")):
        what = f"{pickled} is not a safetensors file" if pickled else f"{model}: has no *.safetensors"
        raise RunError(f"{what}; only safetensors are pushed, so save the model again")
    check_as_written(model)
    return model


def push(
    run: Path,
    name: str,
    how: Publication | None = None,
    *,
    private: bool = False,
    hub: Hub | None = None,
    voice: Voice = SILENT,
) -> str:
    """Prepares a run's model and uploads it; returns its address.

    Raises:
        RunError: see `prepare`; no token, no network, an adapter whose base is not on the hub, or a hub that refuses.
    """
    _check_name(name)
    if (how is None or how.base is None) and is_adapter(RunPaths(run).model) and hub_base(Results.load(run)) is None:
        raise RunError(
            f"{run}: an adapter of a local model, which others cannot load; give its name on the hub: --base ORG/NAME"
        )
    if hub is None:
        if get_token() is None:
            raise RunError("there is no token for the hub; run `hf auth login`, set HF_TOKEN, or use --prepare-only")
        hub = HfApi()
    with tempfile.TemporaryDirectory() as folder:
        published = Path(folder) / "published"
        prepared = prepare(run, name, published, how)
        size = sum(file.stat().st_size for file in prepared.iterdir())
        voice.say(f"uploading {size / 2**20:,.1f} MiB to {name}")
        try:
            hub.create_repo(name, private=private, exist_ok=True)
            hub.upload_folder(repo_id=name, folder_path=prepared, commit_message="A model and what was measured of it")
        except HfHubHTTPError as error:
            raise RunError(f"{name}: the hub refuses ({_line(error)}); check the name and the token") from error
        except Exception as error:  # the hub's client does not wrap the errors of its HTTP library
            raise RunError(f"{name}: the hub cannot be reached ({_line(error)}); try again later") from error
    return f"https://huggingface.co/{name}"


def hub_base(run: Results) -> str | None:
    """The hub's name of the whole model that the run's lies on or began as; None if it is a folder or a suite's own."""
    config = RunPaths(run.folder).model / "adapter_config.json"
    name = run.model
    if config.is_file():  # the run may have begun with an adapter, and its own lies on the whole model below
        name = str(json.loads(config.read_text(encoding="utf-8")).get("base_model_name_or_path") or name)
    local = name == run.model and run.environment.get(START, "hub") != "hub"  # whatever folder we are in now
    if local or name in shipped_models() or Path(name).expanduser().exists():
        return None
    try:
        validate_repo_id(name)
    except HFValidationError:
        return None
    return name


def _check_name(name: str, what: str = "the name") -> None:
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise RunError(f"{what} '{name}' is not valid on the hub ({_line(error)}); write USER/NAME") from error
    if what == "the name" and name.count("/") != 1:
        raise RunError(f"the name '{name}' lacks its owner; write USER/NAME")


def _copy(model: Path, folder: Path, base: str | None) -> None:
    for file in sorted({f for pattern in _FILES for f in model.glob(pattern) if f.is_file()}):
        if file.suffix == ".json" and "config" in file.name:
            values = _without_paths(json.loads(file.read_text(encoding="utf-8")), base)
            (folder / file.name).write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        else:
            shutil.copy2(file, folder / file.name)


def _without_paths(values: dict[str, Any], base: str | None) -> dict[str, Any]:
    """A config that names the base by the hub's name, or not at all."""
    named = {key: value for key, value in values.items() if key not in ("_name_or_path", "name_or_path")}
    if "base_model_name_or_path" in named:
        named["base_model_name_or_path"] = base
    return named


def _is_curlora(model: Path) -> bool:
    file = model / "adapter_config.json"
    return file.is_file() and json.loads(file.read_text(encoding="utf-8")).get("peft_type") == "CURLORA"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
