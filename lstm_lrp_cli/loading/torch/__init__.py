"""PyTorch's files, read without running what they hold, and what their names say."""
