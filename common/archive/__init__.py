"""What storage alone can rebuild: days of the journal, and a small file beside each recording. Formats only, no I/O."""
