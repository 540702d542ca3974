"""Layers other than the LSTM: each its forward pass, its gradient and its LRP."""
