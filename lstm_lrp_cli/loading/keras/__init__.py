"""What Keras's files say of their layers, as a mapping."""
