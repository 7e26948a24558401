"""Asks a run's models a question, before, between and after its stages: their answers and token probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from forgetting.core.errors import DataError
from forgetting.core.progress import SILENT, Voice
from forgetting.core.text import said
from forgetting.pipeline.finished_run.models import models_of, recipe_of
from forgetting.pipeline.one_model.ask import Answer, Asking, answers_of, check_questions
from forgetting.pipeline.one_model.settings import check_asked, check_data_read, with_settings
from forgetting.pipeline.run.prepare import load_data
from forgetting.pipeline.run.shots import with_shots


@dataclass(frozen=True, slots=True)
class Asked:
    """All answers of one model."""

    point: str
    """`before`, `after STAGE`, or `after`."""
    answers: tuple[Answer, ...]


def ask(
    folder: Path,
    questions: Sequence[str],
    how: Asking | None = None,
    *,
    settings: Mapping[str, object] | None = None,
    voice: Voice = SILENT,
) -> list[Asked]:
    """Asks the model before the run, after each stage that is kept, and after it, in the run's own format.

    Args:
        folder: a finished run's.
        questions: each is asked separately.
        how: lengths and the reported tokens; None: the defaults.
        settings: keys of the run's recipe that are other than it was made with, such as `format.prefix`.

    Raises:
        RunError: no such run, or a missing part.
        RecipeError: a key that has no meaning here.
        DataError: no question, or one that leaves no room for an answer.
    """
    check_questions(questions)
    check_asked(settings or {})
    recipe = with_settings(recipe_of(folder), settings or {})
    check_data_read(settings or {}, recipe)
    shots = recipe.format.shots
    if shots is not None and shots.examples is None:
        recipe = with_shots(recipe, load_data(recipe, voice), voice=voice)
    found = []
    for one in models_of(folder, recipe, stages=True, voice=voice):
        voice.say(f"asking {one.point}")
        with one.view.active() as model:
            answers = answers_of(model, one.tokenizer, questions, recipe.format, how or Asking())
        found.append(Asked(one.point, tuple(answers)))
        del one, model  # otherwise they stay in memory while the next one is loaded
    return found


def read_questions(file: Path) -> list[str]:
    """Reads one question per line; blank lines are left out.

    Raises:
        DataError: no such file, not UTF-8, or no question in it.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError as error:
        raise DataError(f"{file}: no such file of questions; give a text file with one per line") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read as UTF-8 text ({said(error)}); save it as such") from error
    questions = [line.strip() for line in lines if line.strip()]
    if not questions:
        raise DataError(f"{file}: holds no question; write one per line")
    return questions
