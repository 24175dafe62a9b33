"""What runs inside the device's image: golden, serve, bench. Python 3.8 syntax and APIs."""
