"""Records → numbers with intervals. No model, no GPU, so old runs and published logs are scored alike."""
