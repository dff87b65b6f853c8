"""A worker that was buried is nobody until it is registered again: its claims would be taken for a dead one's."""

from __future__ import annotations

from tests.unit.gateway.serving import until
from tests.unit.worker.running import yard

REFUSE = """
create function langyard.refuse() returns trigger language plpgsql as $$ begin raise exception 'not now'; end $$;
create trigger refuse before insert on langyard.workers for each row execute function langyard.refuse();
delete from langyard.workers;
"""


async def test_nothing_is_claimed_while_it_cannot_register_again(database: str):
    async with yard(database, worker={"poll_seconds": 0.1}) as made:
        worker = made.app.worker
        assert worker is not None
        names = {worker.worker_id}

        def tried(times: int) -> bool:
            names.add(worker.worker_id)
            return len(names) > times

        made.rows(REFUSE)
        await until(lambda: tried(2))
        thread = (await made.sdk.threads.create())["thread_id"]
        run = (await made.sdk.runs.create(thread, "failing", input={}))["run_id"]
        # It tries again as often as it looks for runs.
        await until(lambda: tried(6))
        found = made.run(run)
        assert (found["status"], found["attempt"], found["worker_id"]) == ("pending", 0, None)
        made.rows("drop trigger refuse on langyard.workers")
        found = await made.until(run, "success")
        assert (found["attempt"], found["deaths"]) == (1, 0)
