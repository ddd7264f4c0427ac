"""What every room may use: data files, output files, other programs."""
