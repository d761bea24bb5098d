"""Everything around a running federation: its files, keys and processes."""
