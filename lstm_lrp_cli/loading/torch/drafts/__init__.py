"""Drafts of the models that PyTorch's weights are of, by the names and shapes of their modules."""
