"""What a model is: plain immutable dataclasses, and the one gate order."""
