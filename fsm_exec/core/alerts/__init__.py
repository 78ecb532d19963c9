"""Alerts: what somebody is to hear of, made of the facts that are saved, and when which of them is told."""
