"""What the tests of the room share: an agent's folder, the agent as one file, sessions."""

from agent_rig import agent, layout, session

__all__ = ["agent", "layout", "session"]
