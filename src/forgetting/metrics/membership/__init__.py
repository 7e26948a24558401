"""Membership: whether texts that a model was to forget still look more seen to it than texts that it never saw."""
