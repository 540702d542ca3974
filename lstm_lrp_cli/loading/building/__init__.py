"""A mapping and the datasets that it names, built to a model."""
