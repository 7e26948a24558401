"""Transforms by name: functions from typed parameters to a Transform."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from forgetting.core.errors import ModelError, nearest
from forgetting.core.example import Role
from forgetting.core.registry import Registry
from forgetting.data.encode import Encoded


@dataclass(frozen=True, slots=True)
class Given:
    """The inputs of a transform apart from the model."""

    seed: int
    """The seed of its random numbers. Derive one per parameter name, so that the order of parameters is irrelevant."""
    pad_id: int = 0
    """The id that pads rows of tokens."""
    data: Mapping[str, Sequence[Encoded]] = field(default_factory=dict)
    """The encoded examples of each role that it declares."""
    reference: PreTrainedModel | PeftModel | None = None
    """The model that the stage's `reference` names, if the transform compares with one; it may be changed too."""
    say: Callable[[str], None] = lambda line: None
    """Prints a line for the user."""
    tokenizer: PreTrainedTokenizerBase | None = None
    """The model's."""

    def token_id(self, token: str, what: str) -> int:
        """The id of a token.

        Args:
            token: as the tokenizer names it.
            what: the transform, for the message.

        Raises:
            ModelError: the tokenizer has no such token.
        """
        known = {} if self.tokenizer is None else self.tokenizer.get_vocab()
        if token not in known:
            raise ModelError(f"{what}: the tokenizer has no token '{token}'; {nearest(token, known)}")
        return int(known[token])


@dataclass(frozen=True, slots=True)
class Transform:
    """Changes a model.

    The same model, parameters and seed must give the same bits in every process: a stage that was interrupted is
    applied again, and each of several processes applies it for itself.
    """

    apply: Callable[[PreTrainedModel | PeftModel, Given], PreTrainedModel]
    """Maps the model of the stage before, with its active adapters, to a whole model without adapters.

    It may change its input.
    """
    roles: tuple[str, ...] = ()
    """The roles whose data it reads."""
    needs_reference: bool = False
    """Whether it compares with another model, by default the one that the run began with."""
    unlearns: bool = False
    """Whether it is to forget something, though it reads no forget data."""

    @property
    def forgets(self) -> bool | None:
        """Whether it is to forget something; None if it reads no data and does not say."""
        return True if self.unlearns else Role.FORGET in self.roles if self.roles else None


TRANSFORMS: Registry[Callable[..., Transform]] = Registry(
    "transforms", "transform", "a function that returns a Transform"
)


def register_transform(
    name: str, *, paper: str = "", when: str = ""
) -> Callable[[Callable[..., Transform]], Callable[..., Transform]]:
    """Registers a function that returns a Transform under `name`.

    From another package: name the function in the entry-point group `forgetting.transforms` too.

    Args:
        paper: where it was published, `arXiv 2506.06278`; empty: nowhere.
        when: one sentence on when to use it.
    """
    return TRANSFORMS.register(name, paper=paper, when=when)


def build_transform(name: str, parameters: Mapping[str, object] | None = None) -> Transform:
    """The transform `name` with these parameters.

    Raises:
        RecipeError: unknown transform, a parameter that it does not take, or the result is not a `Transform`.
    """
    transform = TRANSFORMS.build(name, parameters)
    if not isinstance(transform, Transform):
        raise TRANSFORMS.misfit(name, transform, "a Transform")
    return transform
