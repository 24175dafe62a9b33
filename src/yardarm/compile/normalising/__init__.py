"""The model in the shape that the rest of the compiler works on."""
