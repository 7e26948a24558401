"""The stages of a recipe together: their names and positions, what one reads of another, adapters that go together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from forgetting.core.errors import nearest
from forgetting.data.corpus import Corpus
from forgetting.recipe.stage import Stage


def check_names(stages: Sequence[Stage]) -> None:
    """Checks that no two stages have one name.

    Raises:
        ValueError: two have.
    """
    names = [s.name for s in stages]
    if len(set(names)) < len(names):
        raise ValueError(f"two stages have one name ({', '.join(names)}); give them different names")


def place_of(stage: Stage, stages: Sequence[Stage]) -> int:
    """Its position, which determines its seed; stages set aside are counted separately."""
    return [s.name for s in stages if s.is_aside == stage.is_aside].index(stage.name)


def without_skipped(stages: list[Stage]) -> list[Stage]:
    """The stages that are not to be skipped; each is given its present position where it names none.

    Raises:
        ValueError: none is left.
    """
    if not any(stage.skip for stage in stages):
        return stages
    for stage in stages:
        if stage.place is None:
            stage.place = place_of(stage, stages)
    left = [stage for stage in stages if not stage.skip]
    if not left:
        raise ValueError("stages: all are left out; leave one")
    return left


def without_unread(stages: list[Stage], corpus: Corpus | None) -> list[Stage]:
    """The stages without those that are set aside and that none reads.

    Raises:
        ValueError: a stage reads what no earlier stage leaves, or a part of the corpus that is not reserved; or the
            last one is set aside.
    """
    for index, stage in enumerate(stages):
        _check_references(stage, stages[:index])
    read = {stage.reads for stage in stages}
    left = [stage for stage in stages if not stage.is_aside or stage.name in read]
    if not left or left[-1].is_aside:
        raise ValueError("the last stage cannot be set aside: the run would not change the model")
    for stage in left:
        if stage.part != "train" and (corpus is None or corpus.reference is None):
            raise ValueError(
                f"stage '{stage.name}': part: {stage.part}, but no part is reserved; write corpus.reference=…"
            )
    return left


def _check_references(stage: Stage, earlier: Sequence[Stage]) -> None:
    """Checks that a stage compares with a whole model of an earlier one, and reads scores of one that is set aside."""
    aside = [s.name for s in earlier if s.is_aside]
    if stage.select is not None and stage.select.reference in aside:
        raise ValueError(
            f"stage '{stage.name}': select.reference is '{stage.select.reference}', a stage; write "
            f"stage:{stage.select.reference}"
        )
    whole = [s.name for s in earlier if s.leaves_a_whole_model and not s.is_aside]
    other = stage.reference.removeprefix("stage:")
    if stage.reference.startswith("stage:") and other not in whole:
        raise ValueError(
            f"stage '{stage.name}': reference is '{other}', which is not an earlier stage that leaves a "
            f"whole model; {nearest(other, whole) if whole else 'there is none'}"
        )
    if stage.reads is not None and stage.reads not in aside:
        raise ValueError(
            f"stage '{stage.name}': select.reference is '{stage.reads}', which is not an earlier stage with "
            f"between: aside; {nearest(stage.reads, aside) if aside else 'there is none'}"
        )


def check_adapters(stages: Sequence[Stage]) -> None:
    """Checks that an adapter is kept in training by a stage that trains the same, and that those stacked can be.

    Raises:
        ValueError: it is not, or they cannot.
    """
    for before, after in pairwise(stages):
        if before.between == "keep" and not after.trains:
            raise ValueError(
                f"stage '{before.name}' keeps its adapter in training (between: keep), but stage "
                f"'{after.name}' transforms; write merge or stack"
            )
        kinds = {before.adapter_or_full.kind, after.adapter_or_full.kind}
        if before.between == "stack" and kinds > {"curlora"} and not kinds & {"full", "rows"}:
            raise ValueError(
                f"stage '{before.name}': LoRA and CURLoRA cannot be stacked on one model; write between: merge"
            )
        if before.between == "keep" and before.adapter_or_full != after.adapter_or_full:
            raise ValueError(
                f"stage '{before.name}' keeps its adapter in training (between: keep), but stage "
                f"'{after.name}' names another one; give both the same adapter"
            )


def check_in_four_bits(stages: Sequence[Stage]) -> None:
    """Checks that every stage trains a model whose weights stay in 4 bits.

    Raises:
        ValueError: one does not.
    """
    for stage in stages:
        if not stage.trains:
            raise ValueError(
                f"stage '{stage.name}' transforms whole weights, but another stage's adapter is qlora, which puts "
                "them in 4 bits; write lora"
            )
        if stage.adapter_or_full.kind != "qlora":
            raise ValueError(
                f"stage '{stage.name}': adapter.kind is {stage.adapter_or_full.kind}, but another stage's is "
                "qlora, which puts the weights in 4 bits; write qlora for all"
            )
        if stage.between == "merge" and stage is not stages[-1]:
            raise ValueError(
                f"stage '{stage.name}': between: merge would round the merged weights to 4 bits again; write "
                "stack, keep or aside"
            )
