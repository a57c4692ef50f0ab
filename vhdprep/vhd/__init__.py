"""The container as a file format: bytes in, facts out. Knows no partitions."""
