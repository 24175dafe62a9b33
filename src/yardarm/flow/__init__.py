"""Stages composed into what users ask for. This is the Python API behind the verbs."""
