"""The forms that a node can take, and graphs written in them."""
