"""Measurements as jobs: what each depends on, where results are kept, and who runs it."""
