"""One module a dataset: from its original archive to the RGB-T schema."""
