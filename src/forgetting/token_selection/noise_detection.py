"""How well quality detects noise in rows with known noise labels (`forget corrupt` makes them)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from forgetting.core.example import Example
from forgetting.data.encode import Encoded
from forgetting.data.formatting import Formatting
from forgetting.data.noise import FIELD, noise_labels, noise_spans
from forgetting.metrics.detection import auc, auc_difference, average_precision, found
from forgetting.token_selection.score_files import ScoredRow


@dataclass
class Truth:
    """Collects, row by row, the tokens of rows with known noise labels; other rows are skipped."""

    tokenizer: PreTrainedTokenizerBase
    formatting: Formatting
    labels: list[NDArray[np.bool_]] = field(default_factory=list)
    qualities: list[NDArray[np.float32]] = field(default_factory=list)
    losses: list[NDArray[np.float32]] = field(default_factory=list)
    negatives: list[NDArray[np.bool_]] = field(default_factory=list)
    clusters: list[NDArray[np.int64]] = field(default_factory=list)
    rows: list[NDArray[np.int64]] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    """By row, the kind of its noise, or none."""
    _owners: dict[str, int] = field(default_factory=dict)

    def add(self, example: Example, encoded: Encoded, scored: ScoredRow, signs_N: NDArray[np.int8]) -> None:
        """Adds the next row, with the sign of each of its supervised tokens."""
        if FIELD not in example.fields:
            return
        spans = noise_spans(example)
        clean = np.zeros(len(signs_N), dtype=np.bool_)
        self.labels.append(noise_labels(example, encoded, self.tokenizer, self.formatting) if spans else clean)
        self.qualities.append(scored.quality)
        self.losses.append(-scored.base_logp_N)
        self.negatives.append(signs_N < 0)
        self.clusters.append(np.full(len(signs_N), self._owners.setdefault(example.cluster, len(self._owners))))
        self.rows.append(np.full(len(signs_N), len(self.rows)))
        self.kinds.append(next((span.kind for span in spans), ""))

    @property
    def known(self) -> bool:
        """Whether any row has known noise labels."""
        return bool(self.labels)

    def to_json(self) -> dict[str, Any]:
        """AUC of −Q and of the base's plain loss for noisy tokens, and precision and recall of the forgotten tokens.

        `kinds`: the same AUCs for the noise of one kind, against the tokens of rows without noise.
        """
        labels, negative = np.concatenate(self.labels), np.concatenate(self.negatives)
        bad, loss = -np.concatenate(self.qualities), np.concatenate(self.losses)
        clusters = np.concatenate(self.clusters)
        of_row = np.array(self.kinds)[np.concatenate(self.rows)]
        kinds = {}
        for kind in sorted(set(self.kinds) - {""}):
            here = (of_row == "") | (of_row == kind)
            kinds[kind] = {
                "quality": asdict(auc(bad[here], labels[here], clusters[here])),
                "loss": asdict(auc(loss[here], labels[here], clusters[here])),
            }
        chosen = found(negative, labels, clusters)
        return {
            "quality": asdict(auc(bad, labels, clusters)),
            "loss": asdict(auc(loss, labels, clusters)),
            "difference": asdict(auc_difference(bad, loss, labels, clusters)),
            "average_precision": asdict(average_precision(bad, labels)),
            **{name: asdict(estimate) for name, estimate in chosen._asdict().items()},
            "kinds": kinds,
        }
