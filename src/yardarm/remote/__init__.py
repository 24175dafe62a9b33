"""The one door to other machines: SSH connections, commands, and the agent's session."""

from yardarm.remote.connection import Completed, Connection, connect
from yardarm.remote.session import Session, open_session

__all__ = ["Completed", "Connection", "Session", "connect", "open_session"]
