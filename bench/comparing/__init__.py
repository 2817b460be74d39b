"""Estimates, intervals, ratios, and when there is enough of them. Pure."""
