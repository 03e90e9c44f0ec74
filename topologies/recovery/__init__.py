"""Policies raced on seeded incidents against the real supervisor, under a mock clock. See docs/recovery-protocol.md."""
