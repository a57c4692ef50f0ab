"""The engine of rules; the rules themselves are data in ``rules/``."""
