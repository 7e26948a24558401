"""A suite with splits, metrics and data of its own, which says what counts."""

from forgetting import Balance, Declaration, Example, Headline, Split, Suite, register_suite
from forgetting.metrics.likelihood import probability
from forgetting.metrics.per_example import mean


def questions(start: str, count: int) -> tuple[Example, ...]:
    return tuple(
        Example(id=f"{start}{i}", prompt=f"Capital of {start} {i}?", response=f"City {i}") for i in range(count)
    )


@register_suite("capitals")
def capitals(variant: str, fast: bool) -> Suite:
    """Capitals of invented countries; `capitals:4` forgets four of them."""
    dropped, stays = questions("Zembla", int(variant or 3)), questions("Ruritania", 2 if fast else 4)
    return Suite(
        name="capitals",
        splits=(
            Split(name="dropped", examples=dropped, max_new_tokens=4),
            Split(name="stays", examples=stays, max_new_tokens=4),
        ),
        metrics=(mean(probability, ("dropped",), "down"), mean(probability, ("stays",), "up")),
        data={"forget": dropped, "retain": questions("Ruritania", 8)[4:]},
        declares=Declaration(
            headline=Headline(forgotten=("dropped/probability",), kept=("stays/probability",)),
            balance=Balance(forget="dropped/probability", retain="stays/probability"),
            alarm=("stays/probability",),
            forget_splits=("dropped",),
            retain_splits=("stays",),
        ),
    )
