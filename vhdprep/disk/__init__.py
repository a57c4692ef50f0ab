"""The storage stack behind one small interface: disk → volumes → files."""
