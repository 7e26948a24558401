"""Words that a greedy answer shares with the right one."""

from forgetting import PerExample, Record, register_metric


@register_metric("word_overlap")
def word_overlap(shortest: int = 1) -> PerExample:
    """Share of the right answer's words of at least `shortest` letters that the model's answer has."""

    def value_of(record: Record) -> float | None:
        words = {word for word in record.answer.split() if len(word) >= shortest}
        if record.generation is None or not words:
            return None
        return len(words & set(record.generation.split())) / len(words)

    return PerExample("word_overlap", value_of, "Share of the right answer's words that are given.", "a greedy answer")
