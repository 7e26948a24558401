"""How a LoRA adapter starts: by name, with parameters of its own, and from data where it reads any."""

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
    """The factors B₀ `[out, r]` and A₀ `[r, in]` that the adapter of one matrix starts with."""

    b: Tensor
    a: Tensor


@dataclass(frozen=True)
class InitialisationData:
    """What an initialisation reads while it prepares."""

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
    """How a LoRA adapter starts. This one leaves it as PEFT makes it: A random, B zero.

    Others derive from it and are returned by a function that `register_initialisation` registers.
    """

    roles: tuple[str, ...] = ()
    """Roles whose data it reads; a recipe must give them."""
    limit: int | None = None
    """Examples per role that it reads at most; None: all."""
    subtract: bool = False
    """Whether −B₀A₀ is added in a second, frozen adapter, so that the model computes what it computed before."""

    def prepare(
        self, model: PreTrainedModel, modules: Sequence[str], data: InitialisationData
    ) -> Iterator[Mapping[str, Tensor]]:
        """Computes one tensor for each of `modules` from the data, before the adapter is on the model.

        Every mapping that it yields (module to tensor) is stored at once. After an interruption `modules` are those
        without a stored tensor. The model must be left as it was.
        """
        return iter(())

    def start(
        self, module: str, weight: Tensor, prepared: Tensor | None, *, rank: int, scaling: float, seed: int
    ) -> Start | None:
        """The factors that the adapter of `module` starts with; None: A random, B zero.

        Args:
            module: its name in the plain model.
            weight: the weight in effect (base and active adapters), fp32 `[out, in]`.
            prepared: what `prepare` yielded for it; None: nothing.
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

    Its parameters are what a recipe may set: `adapter: {init: {name: …, parameter: …}}`. From another package: name the
    function in the entry-point group `forgetting.initialisations` too.

    Args:
        title: how reports name it; default: its name.
        keys: keys of a recipe's `adapter` that stand for parameters of it.
    """
    return INITIALISATIONS.register(name, title=title or name, keys=dict(keys or {}))


def build_initialisation(name: str, parameters: Mapping[str, Any] | None = None) -> Initialisation:
    """The initialisation `name` with these parameters.

    Raises:
        RecipeError: unknown name or parameter (the nearest is given), a value of another type, or no initialisation.
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
