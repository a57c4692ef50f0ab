"""What is inside the disk: one reading for every backend, bytes to values."""
