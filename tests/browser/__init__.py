"""Whole paths through the real portal, in a real browser."""
