"""Records and pure functions: no torch, no terminal."""
