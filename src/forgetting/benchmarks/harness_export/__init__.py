"""Suites as tasks of lm-evaluation-harness's own command."""
