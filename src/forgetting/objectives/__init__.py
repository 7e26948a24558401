"""Signals → losses → terms → objective; methods by name. Tensors only: no trainer, no tokenizer."""
