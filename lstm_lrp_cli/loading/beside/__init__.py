"""The files that people have beside a model, such as a vocabulary, read and never run."""
