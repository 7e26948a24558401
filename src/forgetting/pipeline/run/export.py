"""Saves a trained model in the format that plain transformers and PEFT load."""

from __future__ import annotations

from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from forgetting.core.errors import RunError
from forgetting.models.adapters import active_adapters, merged, merged_into_whole, save_adapter
from forgetting.models.loading import save_model
from forgetting.models.quantised import has_quantised


def save(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: str | Path, *, merge: bool = False
) -> Path:
    """Writes the model with its tokenizer and chat template; the folder is whole or absent.

    A model with adapters is saved as one adapter (with a subtracted start, a LoRA of rank 2r), or merged into its
    weights if `merge`.

    Raises:
        RunError: the disk cannot be written.
    """
    folder = Path(folder)
    try:
        if active_adapters(model) and not merge:
            save_adapter(model, tokenizer, folder)
        else:
            save_model(merged_into_whole(model) if has_quantised(model) else merged(model), tokenizer, folder)
    except OSError as error:
        raise RunError(
            f"{folder}: the model cannot be written ({error.strerror or error}); free space or choose another folder"
        ) from error
    return folder
