"""One prompt as the model sees it, for the report."""

from __future__ import annotations

from transformers import PreTrainedTokenizerBase

from forgetting.benchmarks.suite import Suite
from forgetting.data.encode import encode
from forgetting.data.formatting import Formatting
from forgetting.runs.results import Prompt


def rendered_prompt(suite: Suite, tokenizer: PreTrainedTokenizerBase, formatting: Formatting) -> Prompt | None:
    """The first example of the first forget split, or of the first split, as text of its tokens; None: there is none.

    Special tokens are written out, so a doubled beginning or a missing end can be seen.
    """
    splits = [split for split in suite.splits if split.examples]
    forget = [split for split in splits if split.name in suite.declares.forget_splits]
    if not splits:
        return None
    split = (forget or splits)[0]
    row = encode(split.examples[0], tokenizer, formatting)
    count = len(row.prompt_ids)
    before, after = (
        str(tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))
        for ids in (row.ids[:count], row.ids[count:])
    )
    return Prompt(split=split.name, text=before, answer=after, tokens=count)
