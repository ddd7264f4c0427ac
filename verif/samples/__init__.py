"""Configurations, operands and records that tests share."""
