"""Whether text that the model has never seen fell with the forget set: then a form was unlearned, not its texts."""

from __future__ import annotations

from forgetting.report.verdict.beside_unseen import forget_keys, unseen_key
from forgetting.report.verdict.few import few
from forgetting.report.verdict.finding import Finding
from forgetting.report.verdict.forgotten import is_shown_to_fall
from forgetting.report.verdict.intervals import contrast
from forgetting.report.verdict.kept import left_of
from forgetting.report.verdict.models import Models, path


def unseen_fell(models: Models) -> list[Finding]:
    """A finding where unseen text is less likely than at the start, as a loss of what should stay is shown (`kept`).

    None where a suite declares none. It is no damage by itself: what should stay is judged by retained text, if there
    is any.
    """
    key = _lost(models)
    if key is None:
        return []
    change, small = contrast(key, models.after, models.before), few(key, models.after, models.before)
    words = f"{small.words}, too few for an interval" if small else change.words
    by = f" ({words})" if words else ""
    text = f"{path(models, key)}. Text that was not to be forgotten fell{by}."
    if any(is_shown_to_fall(models, forgotten) for forgotten in forget_keys(models)):
        text = (
            f"{path(models, key)}. Text that was not to be forgotten fell, too{by}: if it shares its form with the "
            "forget set, that form was unlearned in part, and with it new texts of this form."
        )
    return [Finding("Unseen text", "mixed", text)]


def unseen_halved(models: Models) -> list[str]:
    """The clause of a headline where less than half of unseen text's value at the start is shown to be left."""
    key = _lost(models)
    if key is None or left_of(models, key) != "destroyed":
        return []
    also = any(is_shown_to_fall(models, forgotten) for forgotten in forget_keys(models))
    return [f"unseen text fell{', too,' if also else ''} to less than half"]


def _lost(models: Models) -> str | None:
    """The measure of unseen text, where a loss of it is shown."""
    key = unseen_key(models)
    if key is None or models.before.value(key) is None or models.after.value(key) is None:
        return None
    return key if left_of(models, key) in ("damaged", "destroyed") else None
