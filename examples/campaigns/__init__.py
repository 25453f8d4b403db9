"""Campaigns that try to break the package: what is thrown at it, and what becomes of it."""
