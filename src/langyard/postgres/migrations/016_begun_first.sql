-- A run that was begun and put back is the first of its thread, whoever was asked for before it: one whose transaction is
-- the older may have had to wait for the thread, and must not step between two attempts.
create or replace function langyard.is_first(thread uuid, run uuid, since timestamptz) returns boolean language sql stable
return not exists (
    select from langyard.runs o
    where o.thread_id = thread and o.status in ('pending', 'running') and o.run_id <> run
        and (o.status = 'running' or (o.started_at is null, o.created_at, o.run_id)
            < ((select r.started_at is null from langyard.runs r where r.run_id = run), since, run)));
