"""LangGraph's indexes that repeat the beginning of a key (decision 20): found, and dropped where nobody is in the way.

Used by the runner. Nothing here is needed for a server to work, and so nothing here keeps one from starting.
"""

from __future__ import annotations

import logging

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.rows import DictRow

log = logging.getLogger(__name__)

STEP = "spare indexes of langgraph"
"""What dropping them is called among the migrations."""

# Each repeats the beginning of its table's primary key: dear to keep, and what a plan takes by mistake.
SPARE = {
    "checkpoints": "checkpoints_thread_id_idx",
    "checkpoint_blobs": "checkpoint_blobs_thread_id_idx",
    "checkpoint_writes": "checkpoint_writes_thread_id_idx",
}
# Of the tables that this role's path leads to, whatever else bears their names; and only what the role may drop.
_FIND = """
    select n.nspname, i.relname
    from unnest(%s::text[], %s::text[]) as s(its, name)
        join pg_index x on x.indrelid = to_regclass(s.its)
        join pg_class i on i.oid = x.indexrelid and i.relname = s.name
        join pg_namespace n on n.oid = i.relnamespace
    where pg_has_role(i.relowner, 'USAGE') or pg_has_role(n.nspowner, 'USAGE')
    order by i.relname
"""


async def find(connection: AsyncConnection[DictRow]) -> list[tuple[str, str]]:
    """Schema and name of those that are there and that this role may drop."""
    rows = await connection.execute(_FIND, ([*SPARE], [*SPARE.values()]))
    return [(row["nspname"], row["relname"]) async for row in rows]


def drops(found: list[tuple[str, str]]) -> str:
    """The statements for these; with none given, for those that LangGraph is about to make."""
    names = [sql.Identifier(*one).as_string() for one in found] or [*SPARE.values()]
    return "".join(f"drop index concurrently if exists {name};\n" for name in names)


async def drop(connection: AsyncConnection[DictRow], lock_timeout_s: float) -> bool:
    """Drop them. False when that must wait for another time: an old transaction may see its table for hours yet."""
    # LangGraph's own set-up before this may have narrowed the path.
    await connection.execute("reset search_path")
    await connection.execute("select set_config('lock_timeout', %s, false)", (f"{round(lock_timeout_s * 1000)}ms",))
    for one in await find(connection):
        try:
            await connection.execute(drops([one]).encode())
        except psycopg.Error as error:
            if connection.broken or connection.closed:
                raise
            log.warning("an index that nobody needs stays for now: %s: %s", one[1], str(error).strip().split("\n")[0])
            return False
    return True
