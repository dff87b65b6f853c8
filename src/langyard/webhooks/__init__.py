"""Telling an address that a run has ended (contract A.9). Made by `app`; the rules of runs ask `Webhooks`."""

from langyard.webhooks.rules import WebhookRules, Webhooks
from langyard.webhooks.sender import Sender

__all__ = ["Sender", "WebhookRules", "Webhooks"]
