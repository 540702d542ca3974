"""What people read: lines, colours, words and numbers on a terminal."""
