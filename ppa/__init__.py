"""What a design costs: delay, switching activity of real operands, energy."""
