"""Statements of the Agent Server's nouns and of the event log, a module each. Called by the rules of the same name."""
