"""One verb a file. Each has `register(app)`; heavy imports happen inside its functions."""
