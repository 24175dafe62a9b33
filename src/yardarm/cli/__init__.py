"""The command line. Each verb is one file: parse, call, render. Only this room prints."""

from yardarm.cli.main import app, main

__all__ = ["app", "main"]
