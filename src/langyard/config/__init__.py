"""The one reader of the environment (`load`) and of `langgraph.json` (`read_project`); for `app` and `cli`."""

from langyard.config.afterwards import RetentionSettings, WebhookSettings
from langyard.config.entries import Setting
from langyard.config.execution import LimitSettings, RunSettings, WorkerSettings
from langyard.config.own import GraphSection, OwnSection, own_section, retry_policy
from langyard.config.project import GraphEntry, Project, read_project, start
from langyard.config.reading import catalogue, load
from langyard.config.sections.checkpointer import thread_ttl_section
from langyard.config.sections.http import AuthSection, HttpSection, auth_section, http_section
from langyard.config.sections.priority import priority_path
from langyard.config.sections.store import StoreSection, store_section
from langyard.config.sections.webhooks import WebhookSection, webhook_section
from langyard.config.settings import (
    DatabaseSettings,
    GatewaySettings,
    LogSettings,
    RedisSettings,
    SessionSettings,
    Settings,
    StreamSettings,
)
from langyard.config.ttl import ThreadTtl

__all__ = [
    "AuthSection",
    "DatabaseSettings",
    "GatewaySettings",
    "GraphEntry",
    "GraphSection",
    "HttpSection",
    "LimitSettings",
    "LogSettings",
    "OwnSection",
    "Project",
    "RedisSettings",
    "RetentionSettings",
    "RunSettings",
    "SessionSettings",
    "Setting",
    "Settings",
    "StoreSection",
    "StreamSettings",
    "ThreadTtl",
    "WebhookSection",
    "WebhookSettings",
    "WorkerSettings",
    "auth_section",
    "catalogue",
    "http_section",
    "load",
    "own_section",
    "priority_path",
    "read_project",
    "retry_policy",
    "start",
    "store_section",
    "thread_ttl_section",
    "webhook_section",
]
