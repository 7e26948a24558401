"""Files and hub → examples with roles → encoded tokens → batches."""
