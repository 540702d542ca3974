"""The LSTM: its inputs, cell, gates, relevance and gradient."""
