"""Where examples come from, as a recipe writes it: a file, a hub dataset, or the data of a suite."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from forgetting.core.example import Form

COLUMNS: dict[str, tuple[str, ...]] = {
    "prompt": ("prompt", "question", "instruction", "query"),
    "response": ("response", "answer", "output", "completion"),
    "text": ("text", "content", "document", "passage"),
    "messages": ("messages", "conversation", "conversations"),
    "id": ("id",),
    "group": ("group",),
    "kind": ("kind", "relation", "category"),
    "popularity": ("popularity", "pop_sum"),
    "paraphrased_prompt": ("paraphrased_prompt", "paraphrased_question"),
    "paraphrased": ("paraphrased", "paraphrased_answer"),
    "perturbed": ("perturbed", "perturbed_answer", "perturbed_answers"),
    "weight": ("weight",),
}
"""What an example may hold, and the column names under which it is looked for when the recipe maps none."""


class Source(BaseModel):
    """Exactly one of `path`, `hub` and `suite` says where the rows are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str | None = Field(
        None, description="A JSONL, JSON or CSV file (.gz allowed), relative to the working folder."
    )
    hub: str | None = Field(None, description="A dataset of the Hugging Face hub.")
    suite: str | None = Field(
        None, description="The data that a suite brings for this role, such as 'lab' or 'lab:popular'."
    )
    name: str | None = Field(None, description="The hub dataset's configuration.")
    split: str = Field("train", description="The hub dataset's split.")
    revision: str | None = Field(None, description="The hub dataset's revision (a commit, for reproducible runs).")
    form: Form | None = Field(None, description="qa or text; found from the columns if not given.")
    columns: dict[str, str] = Field(default_factory=dict, description="Which column holds what: {prompt: my_question}.")
    limit: int | None = Field(None, gt=0, description="Use only the first so many rows.")

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: object) -> object:
        return {"path": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if sum(x is not None for x in (self.path, self.hub, self.suite)) != 1:
            raise ValueError("give exactly one of path, hub and suite")
        unknown = sorted(set(self.columns) - set(COLUMNS))
        if unknown:
            raise ValueError(f"columns: '{unknown[0]}' is nothing an example holds; known: {', '.join(COLUMNS)}")
        return self

    def __str__(self) -> str:
        """How messages and reports name it."""
        if self.hub:
            return "/".join(x for x in (self.hub, self.name, self.split) if x)
        return self.path or f"suite {self.suite}"
