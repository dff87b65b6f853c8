"""Statements of the Agent Server's nouns, a module each. Called by the rules of the same name."""
