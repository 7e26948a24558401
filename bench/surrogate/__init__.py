"""Forget-to-Focus's convex surrogate (section 2), iterated: `python -m bench.surrogate` fills in docs/theory.md."""
