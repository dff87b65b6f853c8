"""Statements of a noun, a module each, beside runs. Called by the rules of the same name."""
