"""One cell of a gated recurrent unit over a packed batch."""
