"""A sparse autoencoder of one layer's states, by the library sparsify: trained here, or loaded."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from forgetting.core.errors import ModelError
from forgetting.core.evaluator import Progress
from forgetting.core.example import Example
from forgetting.data.batches import collate
from forgetting.data.encode import encode
from forgetting.data.formatting import Formatting
from forgetting.evaluation.answers import padding_id
from forgetting.evaluation.rows import BATCH_TOKENS, ENOUGH_TOKENS, by_length, columns_of
from forgetting.models.head import head_of, supervised_hidden
from forgetting.models.hidden_states import decoder_blocks
from forgetting.models.modes import in_evaluation_mode
from forgetting.objectives.statistics import LOGP

BATCH = 256
"""Tokens of a training step."""
_CHUNK = 4096


@dataclass(frozen=True, eq=False)
class TokenStates:
    """The states of one layer at the tokens that answers are predicted from, and what the model says of the answers."""

    states_TD: Tensor
    """The residual stream after the block, fp32, example after example; beginnings of texts and other special tokens
    are left out, since their states are of another size."""
    ids_T: NDArray[np.int64]
    """The tokens at these places."""
    rows_T: NDArray[np.int64]
    """The example that each belongs to."""
    nll_N: NDArray[np.float64]
    """-log p of each example's answer, nats, mean over its tokens."""


def load_sparsify() -> Any:
    """The library.

    Raises:
        ModelError: it is not installed.
    """
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            import sparsify
    except ImportError as error:
        raise ModelError("the analysis sae needs sparsify; pip install 'forgetting[sae]'") from error
    return sparsify


def load_coder(name: str, layer: int, width: int) -> Any:
    """A trained coder from a folder (`cfg.json`, `sae.safetensors`) or from a hub repository (its `layers.LAYER`).

    Raises:
        ModelError: none is there, it is no autoencoder, or it is of states of another width.
    """
    coders = load_sparsify().SparseCoder
    try:
        folder = Path(name)
        coder = (
            coders.load_from_disk(folder)
            if folder.exists()
            else coders.load_from_hub(name, hookpoint=f"layers.{layer}")
        )
    except Exception as error:  # hub, file system, JSON and safetensors have each their own errors
        line = str(error).strip().split("\n")[0]
        raise ModelError(f"sae.coder={name}: no coder that can be read: {line}; give a folder or a hub id") from error
    if coder.cfg.transcode or coder.cfg.skip_connection or coder.W_dec is None:
        raise ModelError(f"sae.coder={name}: is a transcoder, not an autoencoder; give another")
    if coder.d_in != width:
        raise ModelError(f"sae.coder={name}: reads states of width {coder.d_in}; this model's have {width}")
    return coder.float().eval().requires_grad_(False)


def train_coder(states_TD: Tensor, *, features: int, k: int, steps: int, seed: int, progress: Progress) -> Any:
    """A top-k autoencoder of these states (Gao et al. 2024, https://arxiv.org/abs/2406.04093).

    Adam, 256 tokens a step, the rate that paper finds for the number of features, decaying over the last fifth; rows of
    the decoder have norm 1; features that were silent for a whole pass over the states learn what is left over
    (their appendix A.2, weight 1/32). The states are scaled to a mean norm of √D meanwhile, and the coder that is
    returned is of the states as they are. The global random state stays as it was.

    Args:
        states_TD: the states to learn, fp32.
        features: latents of the coder.
        k: latents that are active for a token.
        steps: of training.
        seed: of the weights, and of the order of tokens.
        progress: receives each step.
    """
    sparsify = load_sparsify()
    count, width = states_TD.shape
    scale = float(states_TD.norm(dim=1).mean()) / width**0.5 or 1.0
    scaled_TD = states_TD / scale
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        coder = sparsify.SparseCoder(width, sparsify.SparseCoderConfig(num_latents=features, k=k))
    coder.b_dec.data = scaled_TD.mean(0)
    rate = 2e-4 * (2**14 / features) ** 0.5
    optimizer = torch.optim.Adam(coder.parameters(), lr=rate)
    decay = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (steps - step) / max(1, steps // 5)))
    order = torch.Generator().manual_seed(seed)
    silent_F = torch.zeros(features, dtype=torch.long)
    for step in range(steps):
        batch_BD = scaled_TD[torch.randint(count, (min(BATCH, count),), generator=order)]
        found = coder(batch_BD, dead_mask=silent_F > count)
        (found.fvu + found.auxk_loss / 32).backward()
        coder.remove_gradient_parallel_to_decoder_directions()
        optimizer.step()
        optimizer.zero_grad()
        decay.step()
        coder.set_decoder_norm_to_unit_norm()
        silent_F += len(batch_BD)
        silent_F[found.latent_indices[found.latent_acts > 0].unique()] = 0
        progress(step + 1, steps, "sparse autoencoder")
    return _rescaled(coder, scale).eval().requires_grad_(False)


@torch.no_grad()
def _rescaled(coder: Any, scale: float) -> Any:
    """The coder of states that are `scale` times as large: the same features, `scale` times as strong."""
    coder.encoder.bias.mul_(scale)
    coder.b_dec.mul_(scale)
    return coder


@torch.no_grad()
def coded(coder: Any, states_TD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The reconstruction of each state `[T, D]`, and its features' strengths and numbers `[T, K]`.

    z = relu(W (x - b_dec) + b), of which the k largest stay; x̂ = z W_dec + b_dec.
    """
    parts = []
    for some_TD in states_TD.split(_CHUNK):
        strengths, numbers, _ = coder.encode(some_TD)
        parts.append((coder.decode(strengths, numbers), strengths, numbers))
    return tuple(torch.cat(some) for some in zip(*parts, strict=True))  # type: ignore[return-value]


def unexplained(states_TD: Tensor, reconstructed_TD: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of each token |x - x̂|² and |x - mean x|²; FVU is the sum of the former over that of the latter."""
    x_TD, hat_TD = states_TD.double(), reconstructed_TD.double()
    return (x_TD - hat_TD).square().sum(1).numpy(), (x_TD - x_TD.mean(0)).square().sum(1).numpy()


@torch.no_grad()
def token_states(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Example],
    layer: int,
    *,
    formatting: Formatting,
    coder: Any = None,
    progress: Progress = lambda done, total, note: None,
) -> TokenStates:
    """The states after a block; with a coder, its reconstructions take their place in the model meanwhile.

    The model is in evaluation mode; one batch of states is in its memory at a time.

    Raises:
        DataError: an example without a supervised token; its row is named.
        ModelError: the model's decoder blocks are not found.
    """
    rows = [encode(example, tokenizer, formatting) for example in examples]
    special = torch.tensor(sorted(set(tokenizer.all_special_ids)), dtype=torch.long)
    block, head = decoder_blocks(model, [layer])[layer], head_of(model)
    device = next(model.parameters()).device
    if coder is not None:
        coder = coder.to(device)
    found: dict[int, tuple[Tensor, Tensor, float]] = {}
    with in_evaluation_mode(model):
        for members in by_length([len(row.ids) for row in rows], BATCH_TOKENS, ENOUGH_TOKENS):
            some = [rows[m] for m in members]
            batch = collate({"": list(enumerate(some))}, pad_id=padding_id(tokenizer)).to(device)
            ids_N = batch.input_ids_BT.flatten()[batch.sources_N]
            plain_N = ~torch.isin(ids_N, special.to(device))
            kept: list[Tensor] = []
            hook = partial(_read_and_write, kept, batch.sources_N[plain_N], coder)
            with block.register_forward_hook(hook):
                hidden_ND = supervised_hidden(model, head, batch.input_ids_BT, batch.attention_mask_BT, batch.sources_N)
            logp_N = columns_of(hidden_ND, head, batch.targets_N, (LOGP,))[LOGP.name]
            lengths = [row.supervised for row in some]
            sizes = [int(part.sum()) for part in plain_N.split(lengths)]
            parts = zip(kept[0].split(sizes), ids_N[plain_N].cpu().split(sizes), logp_N.split(lengths), strict=True)
            for member, (states_TD, ids_T, logp_T) in zip(members, parts, strict=True):
                found[member] = (states_TD, ids_T, -float(logp_T.mean()))
            progress(len(found), len(rows), "states")
    ordered = [found[n] for n in range(len(rows))]
    return TokenStates(
        states_TD=torch.cat([states for states, _, _ in ordered]),
        ids_T=torch.cat([ids for _, ids, _ in ordered]).numpy(),
        rows_T=np.repeat(np.arange(len(rows)), [len(ids) for _, ids, _ in ordered]),
        nll_N=np.array([nll for _, _, nll in ordered]),
    )


def _read_and_write(kept: list[Tensor], places_M: Tensor, coder: Any, block: nn.Module, args: Any, output: Any) -> Any:
    states_BTD: Tensor = output[0] if isinstance(output, tuple) else output
    flat_ND = states_BTD.flatten(0, 1)
    some_MD = flat_ND.index_select(0, places_M).float()
    kept.append(some_MD.cpu())
    if coder is None:
        return None
    changed_BTD = flat_ND.index_copy(0, places_M, coded(coder, some_MD)[0].to(flat_ND.dtype)).view_as(states_BTD)
    return (changed_BTD, *output[1:]) if isinstance(output, tuple) else changed_BTD
