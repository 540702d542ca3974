"""Methods that explain compared with each other, over a corpus."""
