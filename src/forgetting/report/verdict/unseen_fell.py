"""Whether text that the model has never seen fell with the forget set: then a form was unlearned, not its texts."""

from __future__ import annotations

from forgetting.metrics.share import nothing_to_lose
from forgetting.report.verdict.beside_unseen import forget_keys, unseen_key
from forgetting.report.verdict.finding import Finding
from forgetting.report.verdict.forgotten import is_shown_to_fall
from forgetting.report.verdict.intervals import contrast
from forgetting.report.verdict.models import Models, path


def unseen_fell(models: Models) -> list[Finding]:
    """A finding where unseen text is shown to be less likely than at the start; none where a suite declares none.

    It is no damage by itself: what should stay is judged by retained text, if there is any.
    """
    key = unseen_key(models)
    before, after = models.before.value(key), models.after.value(key)
    if key is None or before is None or after is None or nothing_to_lose(before):
        return []
    change = contrast(key, models.after, models.before)
    if change.relation != "lower":
        return []
    by = f" ({change.words})" if change.words else ""
    text = f"{path(models, key)}. Text that was not to be forgotten fell{by}."
    if any(is_shown_to_fall(models, forgotten) for forgotten in forget_keys(models)):
        text = (
            f"{path(models, key)}. Text that was not to be forgotten fell, too{by}: if it shares its form with the "
            "forget set, that form was unlearned in part, and with it new texts of this form."
        )
    return [Finding("Unseen text", "mixed", text)]


def unseen_halved(models: Models) -> list[str]:
    """The clause of a headline where less than half of unseen text's value at the start is left, and it is shown."""
    key = unseen_key(models)
    before, after = models.before.value(key), models.after.value(key)
    if not unseen_fell(models) or before is None or after is None or before.value is None or after.value is None:
        return []
    if after.value >= before.value / 2:
        return []
    also = any(is_shown_to_fall(models, forgotten) for forgotten in forget_keys(models))
    return [f"unseen text fell{', too,' if also else ''} to less than half"]
