"""The one door to other machines: SSH connections, commands, and the agent's session."""

from yardarm.process import Completed
from yardarm.remote.connection import Connection
from yardarm.remote.opening import connect
from yardarm.remote.session import Session, open_session

__all__ = ["Completed", "Connection", "Session", "connect", "open_session"]
