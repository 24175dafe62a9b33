"""What values each tensor takes over the calibration set, and ranges from them."""
