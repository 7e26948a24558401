"""A batch moves to a device as one thing."""

import torch

from forgetting.core.batch import Batch, RoleSpan


def test_every_tensor_moves_and_the_rest_stays() -> None:
    grid, line = torch.zeros(1, 3, dtype=torch.long), torch.ones(2)
    spans = {"train": RoleSpan(slice(0, 2), slice(0, 1), slice(0, 1))}
    for positions, count in ((None, 7), (grid, 8)):
        batch = Batch(grid, grid, grid, line, line, line, line, ("a",), (0,), spans, positions)
        moved = batch.to("meta")
        tensors = [getattr(moved, n) for n in Batch.__dataclass_fields__ if isinstance(getattr(moved, n), torch.Tensor)]
        assert len(tensors) == count and all(t.device.type == "meta" for t in tensors)
        assert (moved.keys_S, moved.indices_S, moved.roles) == (("a",), (0,), spans)
        assert batch.input_ids_BT.device.type == "cpu"
