"""Which features of a sparse autoencoder changed, and what the model says with its states reconstructed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from forgetting.analysis.coder_features import features_of_role
from forgetting.analysis.compared import Analysis, Compared, Findings
from forgetting.analysis.cost import Cost, Known, Rows, Work, by_role, means, read
from forgetting.analysis.discoveries import FLIPS
from forgetting.analysis.registry import register_analysis
from forgetting.analysis.sparse_coder import (
    BATCH,
    load_coder,
    load_sparsify,
    token_states,
    train_coder,
)
from forgetting.core.errors import ModelError
from forgetting.core.example import Example
from forgetting.core.measure import Measure
from forgetting.data.examples import load_examples
from forgetting.data.source import Source
from forgetting.models.head import text_config


def _count(known: Known, parameters: Mapping[str, Any]) -> Cost:
    """Training of the coder, and each model's forwards as it is and with states reconstructed.

    What the coder learns from another text is counted as if it were as long as these examples.
    """
    shape, features = known.shape, int(parameters["features"])
    weights = 2 * shape.width * features
    trained = 0 if parameters["coder"] else int(parameters["steps"])
    half = 1.0 if parameters["coder"] or parameters["text"] else 0.5
    step = Work(single=6 * BATCH * weights, touched=20.0 * weights + 12.0 * BATCH * features)
    learning = Cost(step * trained, 4 * (6 * weights + 6 * BATCH * features))

    def of(rows: Rows) -> Cost:
        found = read(shape, rows, times=half * 4 + (0.5 if trained else 0.0))
        coded = Work(single=half * 4 * rows.answered * weights * 2, touched=half * 4 * rows.answered * features)
        tested = Work(double=2.0 * FLIPS * half * rows.clusters * features / 4) + means(
            rows, 8 + int(parameters["shown"])
        )
        held = half * 4 * (rows.count * features * 6 + rows.answered * shape.width * 6)
        return found.then(Cost(coded + tested, held))

    return learning.then(by_role(known, of))


def _check(model: nn.Module, parameters: Mapping[str, Any]) -> None:
    """Raises an error if there is no such layer, no such coder, one of another width, or no text to learn from."""
    block = _block(model, int(parameters["layer"]))
    if parameters["coder"]:
        load_coder(str(parameters["coder"]), block, int(text_config(model).hidden_size))
    elif parameters["text"]:
        load_examples(Source(path=str(parameters["text"])))


@register_analysis("sae", needs=load_sparsify, check=_check, cost=_count, oracle=False)
def sae(
    layer: int = -1,
    features: int = 1024,
    k: int = 32,
    steps: int = 2000,
    tokens: int = 100_000,
    coder: str = "",
    text: str = "",
    shown: int = 10,
    seed: int = 0,
) -> Analysis:
    """Features of a sparse autoencoder of the model before: which are active more or less often now (extra `sae`).

    Forget-to-Focus, appendix A.3, trains sparse coders for the base model and does not say what they are for. Here the
    coder of the model before reads the states of each model, on the tokens that answers are predicted from:

    - FVU, the share of the states' variance around their mean that the coder does not explain;
    - NLL with the states replaced by their reconstructions, beside NLL as it is: what the coder's features hold of what
      the model says;
    - each feature's rate, the share of tokens that it is active for, after minus start. A change is tested by exchange
      of start and after, example by example (20,000 random exchanges over source examples); features that changed in
      fewer than 6 source examples are not tested. Of those tested, changes are counted at a rate of false discoveries
      of 5% (Benjamini and Hochberg).

    The coder learns from `text`, or, if there is none, from one half of the source examples of every role, and all
    measures are of the other half: of the states that it has seen it explains more than of any others. The coder of the
    same model, data and seed has the same features, so those of several runs can be compared.

    Args:
        layer: the decoder block after which states are read; -1 is the last.
        features: of the coder.
        k: features that are active for a token.
        steps: of training, 256 tokens each.
        tokens: maximum number that the coder learns from, whole examples in random order.
        coder: a trained coder instead, by folder or hub id (of sparsify).
        text: a data file whose texts the coder learns from.
        shown: features of each role in figure and list.
        seed: of the coder's training, and of the halves.

    Raises:
        ValueError: sizes that make no coder.
    """
    if not (0 < k <= features and steps > 0 and tokens > 1 and shown >= 0):
        raise ValueError(
            f"features is {features}, k {k}, steps {steps}, tokens {tokens}, shown {shown}; write 0 < k <= features, "
            "numbers above 0, and more than 1 token"
        )

    def analysis(compared: Compared) -> Findings:
        load_sparsify()  # before states are read, which takes long
        block = _block(compared.before.model, layer)
        learned, measured = _halves(compared.examples, seed, whole=bool(coder or text))
        if text:
            learned = list(load_examples(Source(path=str(Path(text)))))
        about: tuple[Measure, ...] = ()
        if coder:
            model = load_coder(coder, block, int(text_config(compared.before.model).hidden_size))
        else:
            states_TD = _first(compared, _in_order(learned, seed), block, tokens)
            model = train_coder(
                states_TD,
                features=features,
                k=k,
                steps=steps,
                seed=seed,
                progress=lambda done, total, note: compared.voice.progress(done, total, note),
            )
            about = (_about(len(states_TD)),)
        parts = [features_of_role(compared, role, some, block, model, shown) for role, some in measured.items() if some]
        return Findings.joined([Findings(measures=about), *parts])

    return analysis


def _block(model: nn.Module, layer: int) -> int:
    count = int(text_config(model).num_hidden_layers)
    if not -count <= layer < count:
        raise ModelError(f"sae.layer={layer}: the model has {count} blocks, 0 to {count - 1}")
    return layer % count


def _halves(
    examples: Mapping[str, Sequence[Example]], seed: int, *, whole: bool
) -> tuple[list[Example], dict[str, Sequence[Example]]]:
    """The examples to learn from, and those to measure by role; of one source example all are on one side."""
    if whole:
        return [], dict(examples)
    rng = np.random.default_rng(seed)
    seen: set[str] = set()
    kept: set[str] = set()
    for some in examples.values():
        names = sorted({e.cluster for e in some} - seen)
        kept.update(rng.permutation(names)[: (len(names) + 1) // 2].tolist())
        seen.update(names)
    learned = [e for some in examples.values() for e in some if e.cluster not in kept]
    return learned, {role: [e for e in some if e.cluster in kept] for role, some in examples.items()}


def _in_order(examples: Sequence[Example], seed: int) -> list[Example]:
    return [examples[i] for i in np.random.default_rng(seed).permutation(len(examples))]


def _first(compared: Compared, examples: Sequence[Example], block: int, tokens: int) -> Tensor:
    """The states of as many examples as have no more than so many tokens together, of the model before."""
    found: list[Tensor] = []
    size = 0
    with compared.before.active() as model:
        for start in range(0, len(examples), 64):
            some = examples[start : start + 64]
            part = token_states(model, compared.tokenizer, some, block, formatting=compared.formatting).states_TD
            found.append(part[: tokens - size])
            size += len(found[-1])
            compared.voice.progress(min(size, tokens), tokens, "states to learn from")
            if size >= tokens:
                break
    if size < 2:
        raise ModelError("sae: there are no examples to learn from; give a data file as sae.text=FILE")
    return torch.cat(found)


def _about(count: int) -> Measure:
    return Measure(
        name="tokens", split="coder", value=float(count), count=count, meaning="Tokens that the coder learned from."
    )
