"""Releases made, signed, planned, transferred and activated on a device."""

from yardarm.deploy.agent import ROOT, AgentPlacement, place
from yardarm.deploy.plan import PushPlan
from yardarm.deploy.release import make
from yardarm.deploy.rollout import Deployment, activate, claim, push, survey, transfer, trust

__all__ = [
    "ROOT",
    "AgentPlacement",
    "Deployment",
    "PushPlan",
    "activate",
    "claim",
    "make",
    "place",
    "push",
    "survey",
    "transfer",
    "trust",
]
