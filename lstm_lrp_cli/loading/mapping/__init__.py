"""The mapping, which describes a model: its keys, its YAML, its vocabulary."""
