"""Explain trained LSTM models with Layer-wise Relevance Propagation (LRP)."""

__version__ = "0.2.0"
