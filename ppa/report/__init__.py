"""Measured points as tables, pictures and text."""
