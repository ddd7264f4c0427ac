"""Elements of other designs, built as carefully as our own, to measure ours against."""
