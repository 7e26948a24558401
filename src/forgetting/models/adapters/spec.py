"""Which weights a stage trains: the adapter of a recipe, as one value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from forgetting.core.errors import RecipeError, nearest
from forgetting.models.adapters.initialisation import Initialisation

Kind = Literal["full", "lora", "qlora", "curlora", "rows"]
Drawing = Literal["without_replacement", "released"]
"""How CURLoRA draws columns and rows: see `forgetting.models.adapters.cur`."""
_RANK = 16
DRAWINGS: tuple[str, ...] = get_args(Drawing)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterSpec:
    """All weights (`full`), or a low-rank adapter of some matrices (`lora`) and its initialisation.

    `qlora` is `lora` on a model with matrices in 4 bits, and requires one. `curlora` adds C·U·R to matrices, with C and
    R some of their columns and rows: see `forgetting.models.adapters.curlora_peft`. It has a rank, targets and a
    drawing, and none of LoRA's other values. `rows` trains the embedding rows of `tokens` alone and has nothing else.

    Raises:
        RecipeError: an invalid value; the message names its key.
    """

    kind: Kind = "lora"
    rank: int = _RANK
    alpha: float | None = None
    """The update is scaled by alpha / rank; None: 2 · rank, as in LoKU's released code."""
    dropout: float = 0.0
    targets: str | tuple[str, ...] = "all"
    """A group (`all`, `qv`, `qkvo`, `ffn`, `qvffn`) or names of modules: see `resolve_targets`."""
    init: Initialisation = field(default_factory=Initialisation)
    """The initialisation of a LoRA; default: A random and B zero."""
    drawing: Drawing = "without_replacement"
    tokens: tuple[str, ...] = ()
    """For `rows`: tokens of the tokenizer."""

    def __post_init__(self) -> None:
        for key, known in (("kind", get_args(Kind)), ("drawing", DRAWINGS)):
            value = getattr(self, key)
            if value not in known:
                raise RecipeError(f"adapter.{key}: '{value}' is not known; {nearest(str(value), known)}")
        if self.rank < 1:
            raise RecipeError(f"adapter.rank: {self.rank}; write a whole number of at least 1")
        if self.alpha is not None and self.alpha <= 0:
            raise RecipeError(f"adapter.alpha: {self.alpha}; write a number above 0")
        if not 0 <= self.dropout < 1:
            raise RecipeError(f"adapter.dropout: {self.dropout}; write a number from 0 up to, not including, 1")
        if (self.kind == "rows") is not bool(self.tokens):
            raise RecipeError("adapter.tokens: are those of kind: rows, which needs them; write both or neither")
        low_rank = (self.rank, self.alpha, self.dropout, self.targets) != (_RANK, None, 0, "all")
        if self.kind == "rows" and (low_rank or type(self.init) is not Initialisation):
            raise RecipeError(
                "adapter: kind: rows has tokens and nothing else; remove rank, alpha, targets and the like"
            )
        if self.kind == "curlora":
            if type(self.init) is not Initialisation:
                raise RecipeError("adapter.init: has no meaning for CURLoRA, which has no A and B; remove the key")
            for key, unset in (("alpha", None), ("dropout", 0)):
                if (value := getattr(self, key)) != unset:
                    raise RecipeError(f"adapter.{key}: {value} has no meaning for CURLoRA; remove the key")
        elif self.drawing != "without_replacement":
            raise RecipeError(f"adapter.drawing: {self.drawing} is for CURLoRA; write kind: curlora or remove the key")

    @property
    def scaled_alpha(self) -> float:
        """alpha with its default filled in."""
        return 2 * self.rank if self.alpha is None else self.alpha
