"""TensorFlow Lite's files: the weights by name, and graphs of its LSTMs as layers."""
