"""Forget-to-Focus's convex surrogate (section 2): `python -m experiments.surrogate` fills in docs/theory.md."""
