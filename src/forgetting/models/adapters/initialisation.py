"""Initialisations of LoRA adapters: by name, with parameters, some from data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel

from forgetting.core.batch import Batch
from forgetting.core.errors import RecipeError
from forgetting.core.evaluator import Progress
from forgetting.core.registry import Registry
from forgetting.data.batches import batches_by_length
from forgetting.data.encode import Encoded


@dataclass(frozen=True, slots=True)
class Start:
    """The initial factors B₀ `[out, r]` and A₀ `[r, in]` of the adapter of one matrix."""

    b: Tensor
    a: Tensor


@dataclass(frozen=True)
class InitialisationData:
    """The data that an initialisation reads in `prepare`."""

    examples: Mapping[str, Sequence[Encoded]]
    """The encoded examples of each of its roles."""
    pad_id: int
    say: Callable[[str], None] = lambda line: None
    progress: Progress = lambda done, total, note: None

    def batches(self, role: str) -> Iterator[Batch]:
        """The examples of a role, one per row, rows of similar length together; progress is reported per batch."""
        done = 0
        for batch in batches_by_length(self.examples[role], role, self.pad_id):
            yield batch
            done += len(batch.keys_S)
            self.progress(done, len(self.examples[role]), f"initialisation: {role} data")


class Initialisation:
    """An initialisation of a LoRA adapter. This one keeps PEFT's: A random, B zero.

    Others derive from it; functions registered by `register_initialisation` return them.
    """

    roles: tuple[str, ...] = ()
    """Roles of the data it reads; a recipe must give them."""
    limit: int | None = None
    """The maximum number of examples it reads per role; None: all."""
    subtract: bool = False
    """Whether −B₀A₀ is added in a second, frozen adapter, so that the model's outputs are unchanged."""

    def prepare(
        self, model: PreTrainedModel, modules: Sequence[str], data: InitialisationData
    ) -> Iterator[Mapping[str, Tensor]]:
        """Computes one tensor for each of `modules` from the data, before the adapter is on the model.

        Every mapping that it yields (module to tensor) is stored at once. After an interruption `modules` are those
        without a stored tensor. The model must be left unchanged.
        """
        return iter(())

    def start(
        self, module: str, weight: Tensor, prepared: Tensor | None, *, rank: int, scaling: float, seed: int
    ) -> Start | None:
        """The initial factors of the adapter of `module`; None: A random, B zero.

        Args:
            module: its name in the plain model.
            weight: the effective weight (base plus active adapters), fp32 `[out, in]`.
            prepared: the tensor that `prepare` yielded for it; None: nothing.
            rank: r.
            scaling: s = alpha / rank; the layer adds s·B A.
            seed: the stage's.

        Raises:
            ModelError: `prepared` is missing or does not fit the weight.
        """
        return None


INITIALISATIONS: Registry[Callable[..., Initialisation]] = Registry(
    "initialisations", "initialisation", "a function that returns an Initialisation", typed=True
)


def register_initialisation(
    name: str, *, title: str = "", keys: Mapping[str, str] | None = None
) -> Callable[[Callable[..., Initialisation]], Callable[..., Initialisation]]:
    """Registers a function that returns an `Initialisation` under `name`.

    A recipe may set its parameters: `adapter: {init: {name: …, parameter: …}}`. From another package: name the
    function in the entry-point group `forgetting.initialisations` too.

    Args:
        title: its name in reports; default: `name`.
        keys: keys of a recipe's `adapter` that are short for its parameters.
    """
    return INITIALISATIONS.register(name, title=title or name, keys=dict(keys or {}))


def build_initialisation(name: str, parameters: Mapping[str, Any] | None = None) -> Initialisation:
    """The initialisation `name` with these parameters.

    Raises:
        RecipeError: unknown name or parameter, a value of a wrong type, or the result is not an `Initialisation`.
    """
    found = INITIALISATIONS.build(name, parameters)
    if not isinstance(found, Initialisation):
        source = INITIALISATIONS.get(name).source
        raise RecipeError(f"initialisation '{name}' of {source} returns {type(found).__name__}, not an Initialisation")
    return found


@register_initialisation("default")
def default() -> Initialisation:
    """A random, B zero: the adapter starts as no change (Hu et al. 2022)."""
    return Initialisation()
