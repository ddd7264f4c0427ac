"""The array: elements in rows, what feeds them, what drains them, and the dequantizers behind."""
