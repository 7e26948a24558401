"""Unlearning a few images of a diffusion model: SISS on handwritten digits."""
