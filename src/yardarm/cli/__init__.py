"""The command line. Each verb is one file: parse, call, render. Only this room prints."""

from yardarm.cli.main import main

__all__ = ["main"]
