"""Pictures of a report, one kind a file. Each takes plain numbers and returns inline SVG."""
