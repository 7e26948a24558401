"""The counter has torch's figures, and the products that torch's own counter leaves out."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from forgetting.training.counter import counted
from tests.models.tiny import tiny_model


def test_a_forward_and_backward_has_the_flops_of_torchs_own_counter() -> None:
    model, ids = tiny_model("llama").requires_grad_(True), torch.ones(2, 9, dtype=torch.long)
    with FlopCounterMode(display=False) as theirs:
        model(ids, labels=ids).loss.backward()
    assert theirs.get_total_flops() > 0
    assert counted(lambda: model(ids, labels=ids).loss.backward()) == theirs.get_total_flops()
    with torch.no_grad():
        with FlopCounterMode(display=False) as theirs:
            model(ids)
        assert counted(lambda: model(ids)) == theirs.get_total_flops()


def test_products_in_place_count() -> None:
    total, a, b = torch.zeros(2, 4), torch.ones(2, 3), torch.ones(3, 4)
    assert counted(lambda: total.addmm_(a, b)) == 2 * 2 * 3 * 4
    assert counted(lambda: total[None].baddbmm_(a[None], b[None])) == 2 * 2 * 3 * 4
