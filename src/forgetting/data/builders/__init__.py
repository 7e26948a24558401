"""Builders of forget sets for Forget-to-Focus (section 4): what of a general corpus is forgotten before a fine-tuning.

Each is a function of examples or embeddings; files, provenance and the page are made by `pipeline.build`.
"""
