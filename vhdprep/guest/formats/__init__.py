"""Tiny parsers of configuration formats: text in, values out. They know no file system."""
