"""Where examples come from, as a recipe writes it: files, a hub dataset, or the data of a suite."""

from __future__ import annotations

from typing import Literal, Self

import yaml
from pydantic import ConfigDict, Field, ValidationError, model_validator

from forgetting.core.errors import RecipeError, nearest
from forgetting.core.example import Form
from forgetting.core.strict import Strict
from forgetting.core.written import read_yaml

COLUMNS: dict[str, tuple[str, ...]] = {
    "prompt": ("prompt", "question", "instruction", "query", "input"),
    "input": ("input",),
    "response": ("response", "answer", "output", "completion"),
    "text": ("text", "content", "document", "passage", "page"),
    "token_ids": ("token_ids",),
    "system": ("system", "system_prompt"),
    "history": ("history",),
    "messages": ("messages", "conversation", "conversations"),
    "id": ("id",),
    "group": ("group",),
    "kind": ("kind", "relation", "category"),
    "popularity": ("popularity", "pop_sum"),
    "paraphrased_prompt": ("paraphrased_prompt", "paraphrased_question"),
    "paraphrased": ("paraphrased", "paraphrased_answer"),
    "perturbed": ("perturbed", "perturbed_answer", "perturbed_answers"),
    "weight": ("weight",),
    "token_weights": ("token_weights",),
    "target_ids": ("target_ids",),
}
"""The fields of an example, and the column names that are tried if the recipe maps none."""


class Source(Strict):
    """Exactly one of `path`, `hub` and `suite` says where the rows are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str | None = Field(
        None,
        min_length=1,
        description="A JSONL, JSON, CSV, TSV or Parquet file, a document (.txt, .md; with the extra `documents` .pdf, "
        ".docx, .html) or an array of token ids (.npy); .gz allowed but for Parquet. Or a folder: of documents, of "
        "data files of one kind, or one that datasets saved. From the working folder.",
    )
    suffix: str | None = Field(None, description="A second .npy file: each of its rows continues that of `path`.")
    hub: str | None = Field(None, min_length=1, description="A dataset of the Hugging Face hub.")
    suite: str | None = Field(
        None, description="The data that a suite brings for this role, such as 'lab' or 'lab:popular'."
    )
    name: str | None = Field(None, description="The hub dataset's configuration.")
    split: str = Field("train", description="The hub dataset's split.")
    revision: str | None = Field(None, description="The hub dataset's revision (a commit, for reproducible runs).")
    form: Form | None = Field(None, description="qa, text or tokens; found from the columns if not given.")
    columns: dict[str, str] = Field(default_factory=dict, description="Which column holds what: {prompt: my_question}.")
    limit: int | None = Field(None, gt=0, le=10**15, description="Use only the first so many rows.")
    share: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="Of a corpus: this part of what `count` leaves of corpus.size is drawn from here; shares are "
        "scaled to a sum of 1 unless sources with neither share nor count take the rest.",
    )
    count: int | None = Field(None, gt=0, description="Of a corpus: so many examples are drawn from here.")
    on_bad_row: Literal["stop", "skip"] = Field(
        "stop",
        description="What becomes of rows that cannot be used: stop names the first ten of them and reads no further; "
        "skip leaves them out, says how many, and writes down which and why.",
    )
    max_tokens: int | None = Field(
        None, gt=1, description="Of each text only its first so many tokens, without an end token (tdec measures 200)."
    )

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: object) -> object:
        if isinstance(value, dict) and str(value.get("path")).startswith("hub:"):
            return {**place(value["path"]), **{k: v for k, v in value.items() if k != "path"}}
        return place(value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if sum(x is not None for x in (self.path, self.hub, self.suite)) != 1:
            raise ValueError("give exactly one of path, hub and suite")
        if self.share is not None and self.count is not None:
            raise ValueError("share and count: give one of them")
        if self.hub is None:
            given = {"name": self.name, "revision": self.revision}
            if unread := [key for key, value in given.items() if value is not None]:
                raise ValueError(f"{unread[0]}: is of a dataset of the hub, and this is none; leave it out")
        unknown = sorted(set(self.columns) - set(COLUMNS))
        if unknown:
            raise ValueError(f"columns: '{unknown[0]}' is nothing an example holds; known: {', '.join(COLUMNS)}")
        if self.suffix is not None and not (self.is_array and _is_array(self.suffix)):
            raise ValueError("suffix: path and suffix are two .npy files of token ids")
        if self.is_array and self.form not in (None, "tokens"):
            raise ValueError(f"form: token ids have the form tokens, not {self.form}; leave form out")
        return self

    @property
    def is_array(self) -> bool:
        """Whether it is a file of token ids."""
        return self.path is not None and _is_array(self.path)

    def __str__(self) -> str:
        """How messages and reports name it."""
        if self.suffix:
            return f"{self.path}+{self.suffix}"
        if self.hub:
            return "/".join(x for x in (self.hub, self.name, self.split) if x)
        return self.path or f"suite {self.suite}"


def place(text: str) -> dict[str, str]:
    """A place in one string: FILE, PREFIX.npy+SUFFIX.npy, or hub:ORG/NAME, hub:ORG/NAME/CONFIGURATION/SPLIT."""
    if text.startswith("hub:"):
        parts = text.removeprefix("hub:").split("/", 3)
        return {"hub": "/".join(parts[:2]), **dict(zip(("name", "split"), parts[2:], strict=False))}
    first, plus, second = text.partition(".npy+")
    return {"path": f"{first}.npy", "suffix": second} if plus and _is_array(second) else {"path": text}


def given_source(place: str | Source) -> Source:
    """A source as a command takes it: a file, hub:ORG/NAME, or one of a recipe, `{path: …, columns: …}`.

    Raises:
        RecipeError: it is none, or a key of it has no meaning.
    """
    if isinstance(place, Source):
        return place
    try:
        return Source.model_validate(read_yaml(place) if place.lstrip().startswith("{") else place)
    except yaml.YAMLError:
        raise RecipeError(f"{place}: not a source; write a file, or {{path: FILE, columns: {{prompt: …}}}}") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        why = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            why = f"unknown key; {nearest(key, Source.model_fields)}"
        raise RecipeError(f"{place}: {f'{key}: ' if key else ''}{why}") from error


def text_source(text: str, *, limit: int | None = None, max_tokens: int | None = None) -> Source:
    """The source of texts or token ids at a `place`."""
    found = Source(**place(text), limit=limit, max_tokens=max_tokens)
    return found if found.is_array else found.model_copy(update={"form": "text"})


def _is_array(path: str) -> bool:
    return path.endswith((".npy", ".npy.gz"))
