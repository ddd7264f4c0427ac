"""Processing elements: integer and floating-point datapaths in one shell."""
