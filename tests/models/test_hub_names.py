"""Names of the hub are told from folders and from combinations of models."""

import pytest

from forgetting.models.hub_names import is_hub_name


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("meta-llama/Llama-2-7b-chat-hf", True),
        ("locuslab/tofu_ft.v1", True),
        ("lab + 0.5*out/rmu", False),
        ("./runs/x", False),
        ("/runs/x", False),
        ("~/x", False),
        ("a/b/c", False),
        ("llama", False),
    ],
)
def test_only_an_owner_and_a_repository_are_one(name: str, found: bool) -> None:
    assert is_hub_name(name) is found
