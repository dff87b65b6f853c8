"""Where we answer otherwise than the reference server, on purpose, each with its reason. The docs show this list."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.differential.comparing import ABSENT, Difference


@dataclass(frozen=True)
class Intended:
    """A kind of difference: questions, places in the answer, a condition, and why it is right as it is."""

    name: str
    reason: str
    path: str
    label: str = ".*"
    when: Callable[[Any, Any], bool] = lambda theirs, ours: True

    def covers(self, found: Difference) -> bool:
        """Whether the difference is of this kind."""
        return bool(
            re.fullmatch(self.label, found.label)
            and re.fullmatch(self.path, found.path)
            and self.when(found.theirs, found.ours)
        )


ANY = r"(status|body|body\..*|headers\..*|events.*)"

INTENDED: tuple[Intended, ...] = (
    Intended(
        "end event",
        "A stream ends with `end {run_id, status}`, as the newest clients expect; it saves them a question.",
        r"events\[\d+\]",
        when=lambda theirs, ours: theirs == ABSENT and isinstance(ours, dict) and ours.get("event") == "end",
    ),
    Intended(
        "error code",
        "Every error has a stable `code` besides its `detail`.",
        r"body\.code",
        when=lambda theirs, ours: theirs == ABSENT and isinstance(ours, str),
    ),
    Intended(
        "one form of errors",
        "What the reference tells as `error` we tell as `detail` besides.",
        r"body\.detail",
        when=lambda theirs, ours: theirs == ABSENT and ours == "Key is required",
    ),
    Intended(
        "words of a schema error",
        "The reference repeats its schema library's text; we say in one sentence which field is wrong.",
        r"body\.detail",
        when=lambda theirs, ours: isinstance(theirs, str) and "Failed validating" in theirs and isinstance(ours, str),
    ),
    Intended(
        "words for a wrong address, id or column",
        "The reference shows Python's words or a set in no order; we say what is wrong and what there is.",
        r"body(\.detail)?|headers\.content-type|status",
        r"no such (route|method.*)|patch of a state|a user interface|copy of no id|run of no thread id/.*"
        r"|runs, bad select",
        when=lambda theirs, ours: not (isinstance(theirs, int) and isinstance(ours, int) and ours < 400),
    ),
    Intended(
        "version and flags",
        "They are those of the server that answers.",
        r"body\.(version|langgraph_py_version|flags\..*)",
        "info",
    ),
    Intended(
        "services",
        "With `check_db` the database is named, as from the reference's PostgreSQL edition.",
        r"body\.services\.postgres",
        when=lambda theirs, ours: theirs == ABSENT,
    ),
    Intended(
        "redirects by path",
        "A slash at the end is redirected by path, which no proxy in between can make wrong.",
        r"headers\.location",
        "slash at the end",
    ),
    Intended(
        "metadata of the platform",
        "`langgraph_plan`, `langgraph_host` and their like tell of LangChain's platform, which this is not.",
        r".*\.langgraph_(api_url|api_version|auth_user_id|host|plan|request_id|version)",
        when=lambda theirs, ours: ours == ABSENT,
    ),
    Intended(
        "internal keys",
        "What the server tells itself in `configurable` and metadata is not shown.",
        r".*\.(__after_seconds__|__pregel_node_finished|langgraph_auth_permissions|langgraph_auth_user|run_attempt)",
        when=lambda theirs, ours: ours == ABSENT,
    ),
    Intended(
        "metadata of checkpoints",
        "Checkpoints are written as by LangGraph's own PostgreSQL saver, without the place they have in it.",
        r".*metadata\.(checkpoint_id|checkpoint_ns|checkpoint_map|langgraph_(checkpoint_ns|node|path|step|triggers))",
        when=lambda theirs, ours: ours == ABSENT,
    ),
    Intended(
        "more of what is known",
        "A run of its own names its graph in its metadata, an update its assistant, a checkpoint its namespace.",
        r".*metadata\.(graph_id|assistant_id)|body\.checkpoint\.checkpoint_ns",
        when=lambda theirs, ours: theirs == ABSENT,
    ),
    Intended(
        "one graph for a thread",
        "A checkpoint's metadata names the graph that wrote it; the reference may name the thread's earlier one.",
        r"body\[\d+\]\.metadata\.(graph_id|assistant_id)",
        r"(enqueue|interrupt|rollback), history after",
    ),
    Intended(
        "whole threads",
        "A thread always has `interrupts` and `error`, as from the reference's PostgreSQL edition.",
        r"body(\[\d+\])?\.(interrupts|error)",
        when=lambda theirs, ours: theirs == ABSENT and not ours,
    ),
    Intended(
        "whole copies",
        "A copied thread has its values, questions and status at once, not first after its next run.",
        r"body\.(interrupts|status|values)",
        "copy",
    ),
    Intended(
        "empty configurable",
        "A thread whose runs configured nothing has an empty config.",
        r"body(\[\d+\])?\.config\.configurable",
        when=lambda theirs, ours: theirs == {} and ours == ABSENT,
    ),
    Intended(
        "config of a thread",
        "A thread keeps what its runs were told, for its later runs; an assistant's own config stays the assistant's.",
        r"body\.config(\..*)?|body\.seen\.(limit|tags)|body\[\d+\]\.kwargs\.config\.configurable\.nothing",
        r"configured .*|configured, inherited|thread after a full run|if_not_exists, thread",
    ),
    Intended(
        "null for nothing",
        "Where a field may be left out it may be null as well.",
        ANY,
        ".*is null.*",
    ),
    Intended(
        "no body",
        "A search or count without a body is one without conditions.",
        ANY,
        ".*empty body",
    ),
    Intended(
        "checked at once",
        "What makes no sense is refused when it is said, also where the reference passes over it.",
        ANY,
        r"thread, ttl without ttl|latest, none|cron, (nothing|no schedule|bad end)|cancel, bad action"
        r"|namespaces, depth 0|search of items, limit (below )?0"
        r"|(stateless )?run, (strategy|if_not_exists|on_disconnect|on_completion) nothing"
        r"|(stateless )?run, (checkpoint id is none|interrupt_before is a number)",
    ),
    Intended(
        "a graph that is gone",
        "Assistants of a graph that is no longer served can still be found and counted.",
        ANY,
        r"(search|count) of assistants, (no such graph|nobody)",
    ),
    Intended(
        "a context alone",
        "To change an assistant's context does not make it forget its tags and its recursion limit.",
        r"body(\[\d+\])?\.config\.(recursion_limit|tags)",
        r"patch, context|versions.*",
    ),
    Intended(
        "versions whole",
        "An older version comes back with its graph and context too, as from the reference's PostgreSQL edition.",
        r"body\.(context\..*|graph_id)",
        "latest",
    ),
    Intended(
        "kinds of nodes",
        "A drawing tells what each node is.",
        r"body\.nodes\[\d+\]\.data\.id",
        when=lambda theirs, ours: theirs == ABSENT,
    ),
    Intended(
        "schemas by their types",
        "A schema has the title and defaults of the user's type; the reference makes one up from channels.",
        r".*(config_schema\.(properties|title|type)|state_schema\.(title|properties\..*\.default))",
        r"(schemas|subgraphs).*",
    ),
    Intended(
        "descriptions",
        "A graph without a description in langgraph.json is described by its docstring.",
        r"body\[\d+\]\.description",
        "search of system assistants",
    ),
    Intended(
        "a busy thread",
        "An update of a busy thread is refused in the words of the reference's PostgreSQL edition.",
        r"body\.detail",
        "update while busy",
    ),
    Intended(
        "a history at a checkpoint",
        "It is the history of the checkpoint's namespace, not of one checkpoint only.",
        r"body\[\d+\].*",
        "history at a checkpoint",
    ),
    Intended(
        "a join on no thread",
        "It is 404, as from the reference's PostgreSQL edition.",
        ANY,
        "join on nobody",
    ),
    Intended(
        "late joins",
        "Who joins a run that has ended, or waits for its cancellation, gets what a wait would have given.",
        r"body\..*",
        r"wait, .*, joined late|cancel, wait( true)?",
    ),
    Intended(
        "answers among several",
        "When one of several questions is answered, values have it at once, as the state does.",
        r"body\.(values\.)?log\[\d+\]",
        r"one of two answers.*",
    ),
    Intended(
        "threads of a batch",
        "A run in a batch that names a thread does not take it along when it ends.",
        r"body\[\d+\]\.kwargs\.temporary",
        "batch",
    ),
    Intended(
        "commands",
        "The reference fails inside, or refuses a mixed list; what LangGraph says of the command is what counts.",
        ANY,
        r"(resume with null|an unknown command|goto many)(, thread)?",
    ),
    Intended(
        "cancelling many",
        "To have stopped those that could be stopped is a success.",
        ANY,
        "cancel many",
    ),
    Intended(
        "filters that compare",
        "Comparing a field that not every item has finds the items that have it; the reference fails inside.",
        ANY,
        r"search of items, \$(gt|lte|ne)",
        when=lambda theirs, ours: theirs in (500, "Internal Server Error", "text/plain; charset=utf-8"),
    ),
    Intended(
        "feedback",
        "Without LangSmith there is nowhere to give feedback; the reference fails the run, we run it.",
        r"events.*",
        "stream, feedback",
    ),
    Intended(
        "pages of other origins",
        "A browser's page from elsewhere is let in when `LANGYARD_CORS_ORIGINS` or `http.cors` names it, not before.",
        ANY,
        "from another origin|preflight",
    ),
    Intended(
        "payload of a cron",
        "A cron's payload shows metadata also when there is none.",
        r"body\.payload\.metadata",
        "cron, .*",
        when=lambda theirs, ours: theirs == ABSENT and ours == {},
    ),
    Intended(
        "text is called text",
        "An answer in plain text says so.",
        r"headers\.content-type",
        when=lambda theirs, ours: theirs == ABSENT and ours == "text/plain; charset=utf-8",
    ),
)
