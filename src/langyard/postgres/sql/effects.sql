-- name: find
select type, value from langyard.effects
where key = %(key)s and case when %(of_thread)s
    then run_id is null and thread_id = %(thread_id)s else run_id = %(run_id)s end;

-- name: record
-- Fenced as any write: a worker that has lost the run records nothing. Sent twice, it is recorded once.
with held as (
    select r.run_id, r.thread_id from langyard.runs r
    where r.run_id = %(run_id)s and r.fence = %(fence)s and r.status = 'running'
    for no key update
), put as (
    insert into langyard.effects (thread_id, run_id, key, type, value)
    select held.thread_id, case when not %(of_thread)s then held.run_id end, %(key)s, %(type)s, %(value)s from held
    on conflict do nothing
)
select 1 as recorded from held;
