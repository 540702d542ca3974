"""Whole corpora: streaming, in order, in bounded memory."""
