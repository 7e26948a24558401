"""Which judge grades the answers of a run, and whether texts of a redacted one may be sent to it."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from forgetting.core.strict import Strict


class Judging(Strict):
    """An endpoint that grades the answers before, after and of the oracle; see `forgetting.evaluation.judging`."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    url: str = Field(min_length=1, description="An OpenAI-compatible address up to /v1; the answers are sent there.")
    model: str = Field(min_length=1, description="The model that it is asked for.")
    key_variable: str = Field("OPENAI_API_KEY", min_length=1, description="The environment variable with the key.")
    limit: int | None = Field(None, gt=0, description="At most so many examples of each split; default: all.")
    at_once: int = Field(4, gt=0, le=64, description="Requests at the same time.")
    timeout: float = Field(60.0, gt=0, le=86_400, description="Seconds without an answer after which a try has failed.")
    redacted_texts: Literal["refuse", "send"] = Field(
        "refuse", description="Of a redacted run: send allows that its texts leave this machine."
    )
