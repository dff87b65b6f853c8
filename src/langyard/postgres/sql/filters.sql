-- name: thread
select coalesce({filter}, false) as passes from langyard.threads t where t.thread_id = %(thread_id)s;

-- name: assistant
select coalesce({filter}, false) as passes from langyard.assistants a where a.assistant_id = %(assistant_id)s;

-- name: cron
select coalesce({filter}, false) as passes from langyard.crons c where c.cron_id = %(cron_id)s;

-- name: threads
select t.thread_id from langyard.threads t where t.thread_id = any(%(thread_ids)s) and {filter};

-- name: thread_of
select thread_id from langyard.runs where run_id = %(run_id)s;
