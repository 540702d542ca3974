"""Proofs that the tool computes what the user's framework computes, and conserves relevance."""
