"""One LSTM cell over a packed batch."""
