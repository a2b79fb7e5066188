"""The decoder: its shape, its layers, its loss, its cost, and which space each weight touches."""
