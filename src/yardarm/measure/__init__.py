"""Measuring on a device: the plan beforehand, statistics, verdict and result afterwards.

Nothing here talks to a device; `flow` carries the plan there and the run's files back.
"""
