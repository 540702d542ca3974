"""What people read, on a terminal above all: words, numbers, colours, and lines that fit."""
