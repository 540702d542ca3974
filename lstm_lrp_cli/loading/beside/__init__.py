"""The files that people have beside a model: vocabularies, scalers, encoders, lists of labels."""
