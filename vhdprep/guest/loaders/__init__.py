"""Boot loaders, one file each: from their configuration to the entry that starts when nobody touches the keyboard."""
