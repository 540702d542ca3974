"""What TensorFlow 2 writes: checkpoints, and SavedModels with Keras's own description in them."""
