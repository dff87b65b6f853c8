-- name: claim
-- Each for one sender; should that one die, it is due again when the hold has passed.
with due as (
    select run_id from langyard.runs
    where webhook_at is not null and finished_at is not null and webhook_at <= now()
    order by webhook_at limit %(limit)s
    for update skip locked
), held as (
    update langyard.runs r set webhook_at = now() + make_interval(secs => %(hold_s)s)
    from due where r.run_id = due.run_id
    returning r.*
)
select h.*, coalesce(nullif(h.outcome -> 'values', 'null'), t."values")::text as "values"
from held h join langyard.threads t using (thread_id);

-- name: wait
-- Seconds until the next is due; null when there is none.
select extract(epoch from min(webhook_at) - clock_timestamp())::float8 as seconds
from langyard.runs where webhook_at is not null and finished_at is not null;

-- name: postpone
update langyard.runs set webhook_tries = webhook_tries + 1, webhook_at = now() + make_interval(secs => %(pause_s)s)
where run_id = %(run_id)s and webhook_at is not null;

-- name: finish
-- A temporary run was kept for this alone, unless somebody elsewhere still has to read of its end.
with done as (
    update langyard.runs set webhook_at = null where run_id = %(run_id)s
    returning thread_id, temporary and not watched as over
)
delete from langyard.threads t using done where done.over and t.thread_id = done.thread_id and t.open_runs = 0;
