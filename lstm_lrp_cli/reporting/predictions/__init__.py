"""What models predict, as tables, JSON lines and a report."""
