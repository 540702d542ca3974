"""The files that people have beside a model: scalers, encoders and lists of labels."""
