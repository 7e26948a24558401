"""Numbers drawn from a seed of their own leave the others as they would have been."""

import torch

from forgetting.models.randomness import seeded


def test_the_same_seed_draws_the_same_and_nothing_else_is_moved() -> None:
    torch.manual_seed(5)
    undisturbed = torch.rand(3), torch.rand(3)
    torch.manual_seed(5)
    first = torch.rand(3)
    drawn = []
    for seed in (7, 7, 2**64 - 1):
        with seeded(seed):
            drawn.append(torch.rand(4))
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])
    assert torch.equal(torch.stack(undisturbed), torch.stack([first, torch.rand(3)]))
