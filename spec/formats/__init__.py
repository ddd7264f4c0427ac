"""Number formats as objects: what a code means, outside and inside the array."""
