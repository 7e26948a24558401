"""Which features of a sparse autoencoder changed, and what the model says with its states reconstructed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from forgetting.analysis.compared import Analysis, Compared, Findings
from forgetting.analysis.cost import Cost, Known, Rows, Work, by_role, means, read
from forgetting.analysis.discoveries import FLIPS, discoveries, flip_test
from forgetting.analysis.registry import register_analysis
from forgetting.analysis.sparse_coder import (
    BATCH,
    TokenStates,
    coded,
    load_coder,
    load_sparsify,
    token_states,
    train_coder,
    unexplained,
)
from forgetting.core.errors import ModelError
from forgetting.core.example import Example
from forgetting.core.measure import Measure
from forgetting.core.series import Series
from forgetting.data.examples import load_examples
from forgetting.data.source import Source
from forgetting.metrics.changes import mean_change
from forgetting.metrics.per_example import measure
from forgetting.metrics.statistics import Estimate, estimate_mean, seed_of
from forgetting.models.head import text_config
from forgetting.models.view import View

_WORDS = 5


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
        parts = [_of_role(compared, role, some, block, model, shown) for role, some in measured.items() if some]
        return Findings.joined([Findings(measures=about), *parts])

    return analysis


@dataclass(frozen=True, eq=False)
class _Point:
    """One model on the examples of one role."""

    tokens: TokenStates
    fvu_N: NDArray[np.float64]
    """FVU of each example's tokens, with the mean state over all examples."""
    weights_N: NDArray[np.float64]
    """The variance of each example's tokens, which weighs its FVU."""
    reconstructed_N: NDArray[np.float64]
    """-log p of each example with its states reconstructed."""
    active_NF: NDArray[np.float32]
    """Tokens of each example for which each feature is active."""
    strongest: Mapping[int, list[tuple[float, int]]]
    """Of some features, strength and token where they are the most active."""


def _of_role(
    compared: Compared, role: str, examples: Sequence[Example], block: int, coder: Any, shown: int
) -> Findings:
    start, after = (_point(compared, view, role, examples, block, coder) for view in (compared.start, compared.after))
    clusters = [e.cluster for e in examples]
    measures = [
        m for name, point in (("start", start), ("after", after)) for m in _of_point(role, name, point, clusters)
    ]
    kept = [float(a - s) for s, a in zip(_cost(start), _cost(after), strict=True)]
    change = mean_change(kept, clusters, key=f"{role}/sae/cost")
    measures.append(
        measure(change, name="delta_cost_of_reconstruction", split=role, direction="none", meaning=_MEANINGS["cost"])
    )
    counts_N = np.bincount(start.tokens.rows_T, minlength=len(examples)).astype(np.float64)
    moved_NF = after.active_NF - start.active_NF
    names = sorted(set(clusters))
    place = {name: c for c, name in enumerate(names)}
    moved_CF = np.zeros((len(names), moved_NF.shape[1]))
    np.add.at(moved_CF, [place[c] for c in clusters], moved_NF)
    p_F = flip_test(moved_CF, seed=seed_of(f"{role}/sae"))
    found_F = discoveries(p_F)
    tested, count = int((~np.isnan(p_F)).sum()), len(names)
    for name, value in (("features_tested", tested), ("features_changed", int(found_F.sum()))):
        measures.append(Measure(name=name, split=role, value=float(value), count=count, meaning=_MEANINGS[name]))
    order = sorted(np.flatnonzero(found_F), key=lambda f: (-abs(float(moved_CF[:, f].sum())), int(f)))[:shown]
    estimates = [_shift(role, int(f), moved_NF, counts_N, clusters) for f in order]
    series = () if not order else (_drawn(role, [f"#{f}" for f in order], estimates),)
    return Findings(measures=tuple(measures), series=series, texts=_words(compared, role, order, (start, after)))


def _point(compared: Compared, view: View, role: str, examples: Sequence[Example], block: int, coder: Any) -> _Point:
    def read(with_coder: Any) -> TokenStates:
        with view.active() as model:
            return token_states(
                model,
                compared.tokenizer,
                examples,
                block,
                formatting=compared.formatting,
                coder=with_coder,
                progress=lambda done, total, note: compared.voice.progress(done, total, f"{role}: {note}"),
            )

    tokens = read(None)
    changed_N = read(coder).nll_N
    coder = coder.to("cpu")
    hat_TD, strengths_TK, numbers_TK = coded(coder, tokens.states_TD)
    left_T, all_T = unexplained(tokens.states_TD, hat_TD)
    count = len(examples)
    left_N, all_N = (np.bincount(tokens.rows_T, some, count).astype(np.float64) for some in (left_T, all_T))
    active_TK = strengths_TK > 0
    active_NF = torch.zeros(count, coder.num_latents)
    rows_TK = torch.from_numpy(tokens.rows_T)[:, None].expand_as(numbers_TK)
    active_NF.index_put_((rows_TK[active_TK], numbers_TK[active_TK]), torch.ones(int(active_TK.sum())), accumulate=True)
    return _Point(
        tokens=tokens,
        fvu_N=np.divide(left_N, all_N, out=np.full(count, np.nan), where=all_N > 0),
        weights_N=all_N,
        reconstructed_N=changed_N,
        active_NF=active_NF.numpy(),
        strongest=_strongest(strengths_TK, numbers_TK, tokens.ids_T),
    )


def _cost(point: _Point) -> NDArray[np.float64]:
    return point.reconstructed_N - point.tokens.nll_N


def _strongest(
    strengths_TK: Tensor, numbers_TK: Tensor, ids_T: NDArray[np.int64]
) -> dict[int, list[tuple[float, int]]]:
    """Of each feature the tokens where it is the most active, each token once."""
    found: dict[int, dict[int, float]] = {}
    for strengths, numbers, token in zip(strengths_TK.tolist(), numbers_TK.tolist(), ids_T.tolist(), strict=True):
        for strength, number in zip(strengths, numbers, strict=True):
            if strength > 0:
                own = found.setdefault(number, {})
                own[token] = max(strength, own.get(token, 0.0))
    return {f: sorted(((s, t) for t, s in own.items()), reverse=True)[:_WORDS] for f, own in found.items()}


def _of_point(role: str, name: str, point: _Point, clusters: Sequence[str]) -> list[Measure]:
    fvu = estimate_mean(list(point.fvu_N), clusters, key=f"{role}/{name}/fvu", weights=list(point.weights_N))
    estimates = {
        "fvu": fvu,
        "nll": estimate_mean(list(point.tokens.nll_N), clusters, key=f"{role}/{name}/nll"),
        "nll_reconstructed": estimate_mean(list(point.reconstructed_N), clusters, key=f"{role}/{name}/nll_hat"),
    }
    return [
        measure(estimate, name=f"{key}_{name}", split=role, direction="none", meaning=f"{_MEANINGS[key]} ({name}).")
        for key, estimate in estimates.items()
    ]


def _shift(
    role: str, feature: int, moved_NF: NDArray[np.float32], counts_N: NDArray[np.float64], clusters: Sequence[str]
) -> Estimate:
    """The change of a feature's rate: of all tokens together, clustered by source example."""
    rates = [float(m) / n if n else None for m, n in zip(moved_NF[:, feature], counts_N, strict=True)]
    return estimate_mean(rates, clusters, key=f"{role}/sae/{feature}", weights=list(counts_N))


def _drawn(role: str, names: Sequence[str], estimates: Sequence[Estimate]) -> Series:
    return Series(
        figure=f"features_{role}",
        name=role,
        x_label="feature",
        y_label="share of tokens that a feature is active for, after − start",
        x=tuple(names),
        y=tuple(e.value for e in estimates),
        low=tuple(e.low for e in estimates),
        high=tuple(e.high for e in estimates),
        points=True,
    )


def _words(compared: Compared, role: str, order: Sequence[Any], points: Sequence[_Point]) -> dict[str, str]:
    """The tokens that each of these features is the most active for, in any of the models."""
    found = {}
    for feature in order:
        best = sorted((pair for point in points for pair in point.strongest.get(int(feature), ())), reverse=True)
        tokens = list(dict.fromkeys(token for _, token in best))[:_WORDS]
        found[f"{role} #{feature}"] = ", ".join(repr(compared.tokenizer.decode([token])) for token in tokens)
    return found


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
    return Measure(name="tokens", split="coder", value=float(count), count=count, meaning=_MEANINGS["tokens"])


_MEANINGS = {
    "fvu": "Share of the states' variance that the coder of the model before does not explain",
    "nll": "-log p of the answer, nats per token",
    "nll_reconstructed": "The same with the layer's states replaced by the coder's reconstructions",
    "cost": "Change of what reconstruction costs (NLL with it minus NLL), nats per token, after minus start.",
    "features_tested": "Features that changed in at least 6 source examples.",
    "features_changed": "Features active for more or fewer tokens than at the start, at 5% false discoveries.",
    "tokens": "Tokens that the coder learned from.",
}
