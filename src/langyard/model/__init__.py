"""Nouns, states and errors: plain data without I/O, importable from every room, standard library only."""
