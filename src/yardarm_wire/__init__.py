"""What crosses machines: frames, messages, records. Standard library, Python 3.8."""
