"""Shared helpers: atomic file writes, argument checks, replicas."""
