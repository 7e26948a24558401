"""Forgets a few handwritten digits with SISS, beside plain ascent and training without them.

    python -m examples.diffusion.digits

Under a minute on one idle core. A small network learns 8 × 8 digits, five of them repeated 200 times;
printed is how often it draws those five, and how well it denoises them and others (squared error, lower is better).
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from examples.diffusion.siss import Noise, losses, step

STEPS, COPIES, FORGOTTEN = 40, 200, 5
NOISE = Noise.linear(STEPS)


class Network(nn.Module):
    """ε(z, t) of flat 8 × 8 images."""

    def __init__(self, width: int = 256) -> None:
        super().__init__()
        self.steps = nn.Embedding(STEPS, width)
        self.enter, self.leave = nn.Linear(64, width), nn.Linear(width, 64)
        self.middle = nn.ModuleList(nn.Sequential(nn.SiLU(), nn.Linear(width, width)) for _ in range(3))

    def forward(self, z_BD: Tensor, steps_B: Tensor) -> Tensor:
        """The noise, `[B, D]`."""
        h = self.enter(z_BD)
        for block in self.middle:
            h = h + block(h + self.steps(steps_B))
        return self.leave(h)


def digits() -> tuple[Tensor, Tensor]:
    """Images to keep `[N, 64]` and to forget `[5, 64]`, between −1 and 1."""
    images = torch.from_numpy(load_digits().data).float() / 8 - 1
    return images[FORGOTTEN:], images[:FORGOTTEN]


def denoising(model: nn.Module, images: Tensor, generator: torch.Generator) -> Tensor:
    """The plain loss on images at random steps, a mean over them."""
    steps_B = torch.randint(0, STEPS, (len(images),), generator=generator)
    gamma_B1, sigma_B1 = NOISE.at(steps_B, images)
    drawn = torch.randn(images.shape, generator=generator)
    return (model(gamma_B1 * images + sigma_B1 * drawn, steps_B) - drawn).square().sum(-1).mean()


def train(images: Tensor, updates: int, seed: int = 0) -> Network:
    """A network that has learnt the images."""
    torch.manual_seed(seed)
    generator, model = torch.Generator().manual_seed(seed), Network()
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, updates)
    for _ in range(updates):
        optimiser.zero_grad()
        denoising(model, images[torch.randint(0, len(images), (128,), generator=generator)], generator).backward()
        optimiser.step()
        schedule.step()
    return model


Gradient = Callable[[Network, Tensor, Tensor, torch.Generator], object]
"""Puts a gradient into the network's parameters, from images to keep and to forget `[B, D]`."""


def of_siss(model: Network, x_BD: Tensor, a_BD: Tensor, generator: torch.Generator) -> None:
    """SISS with λ 0.5, the second gradient half as long as the first."""
    steps_B = torch.randint(0, STEPS, (len(x_BD),), generator=generator)
    step(list(model.parameters()), *losses(model, x_BD, a_BD, steps_B, NOISE, 0.5, generator), share=0.5)


def of_ascent(model: Network, x_BD: Tensor, a_BD: Tensor, generator: torch.Generator) -> None:
    """Plain ascent on the images to forget."""
    (-denoising(model, a_BD, generator)).backward()


def unlearned(model: Network, gradient: Gradient, updates: int, rate: float, seed: int = 1) -> Network:
    """A copy of the network after some updates by a gradient."""
    model, generator = copy.deepcopy(model), torch.Generator().manual_seed(seed)
    kept, forgotten = digits()
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate)
    for _ in range(updates):
        optimiser.zero_grad()
        x_BD = kept[torch.randint(0, len(kept), (64,), generator=generator)]
        gradient(model, x_BD, forgotten[torch.randint(0, FORGOTTEN, (64,), generator=generator)], generator)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
    return model


@torch.no_grad()
def drawn(model: nn.Module, count: int, seed: int = 2) -> Tensor:
    """Images that the network draws, `[count, 64]`: ancestral sampling."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(count, 64, generator=generator)
    for t in reversed(range(STEPS)):
        gamma, sigma = NOISE.at(torch.full((count,), t), z)
        guess = ((z - sigma * model(z, torch.full((count,), t))) / gamma).clamp(-1, 1)
        if t == 0:
            return guess
        before, spread = NOISE.at(torch.full((count,), t - 1), z)
        kept = gamma / before
        mean = (kept * spread**2 * z + before * (1 - kept**2) * guess) / sigma**2
        z = mean + (spread / sigma * (1 - kept**2).sqrt()) * torch.randn(z.shape, generator=generator)
    raise AssertionError("there are steps")


def measured(model: nn.Module, count: int = 500) -> dict[str, float]:
    """How often one of the five is drawn (nearest of all images), and the losses on them and on others."""
    kept, forgotten = digits()
    nearest = torch.cdist(drawn(model, count), torch.cat([forgotten, kept])).argmin(-1)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        others, five = (denoising(model, some, generator) for some in (kept, forgotten.repeat(200, 1)))
    return {"drawn": float((nearest < FORGOTTEN).float().mean()), "forget": float(five), "retain": float(others)}


def main(updates: int = 2000) -> dict[str, dict[str, float]]:
    """Trains, unlearns and measures; prints a line for each network."""
    kept, forgotten = digits()
    start = train(torch.cat([kept, forgotten.repeat(COPIES, 1)]), updates)
    models = {
        "before": start,
        "SISS": unlearned(start, of_siss, updates // 40, 3e-4),
        "ascent": unlearned(start, of_ascent, updates // 100, 3e-4),
        "without them": train(kept, updates),
    }
    found = {name: measured(model) for name, model in models.items()}
    for name, values in found.items():
        print(f"{name:13}" + "  ".join(f"{key} {value:.3f}" for key, value in values.items()))
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
