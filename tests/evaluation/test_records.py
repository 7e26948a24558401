"""A record keeps what its example is."""

from forgetting.core.example import Example
from forgetting.core.record import Score
from forgetting.evaluation.records import record_of
from tests.models.tiny import tiny_tokenizer


def test_a_record_keeps_the_example_and_what_the_model_did() -> None:
    example = Example(id="7", prompt="Who?", response="the cat", group="cats", kind="animal", popularity=3.0)
    found = record_of(example, "forget", tiny_tokenizer(), score=Score(-1.0, 2, (0, 1)), generation="the dog")
    assert (found.id, found.split, found.prompt, found.answer) == ("7", "forget", "Who?", "the cat")
    assert (found.cluster, found.kind, found.popularity) == ("cats", "animal", 3.0)
    assert (found.score, found.generation) == (Score(-1.0, 2, (0, 1)), "the dog")


def test_the_answer_of_token_ids_is_their_text() -> None:
    tokenizer = tiny_tokenizer()
    ids = tuple(tokenizer("the cat ran")["input_ids"])
    found = record_of(Example(id="7", form="tokens", response="", token_ids=ids), "forget", tokenizer)
    assert found.answer == tokenizer.decode(list(ids)) != ""
