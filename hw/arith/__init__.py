"""Integer arithmetic that elements are built of: adders, bit heaps, recoded weights."""
