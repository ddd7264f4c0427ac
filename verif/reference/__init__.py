"""References written a second time, in other ways than the product's own models."""
