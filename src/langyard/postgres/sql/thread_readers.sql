-- name: mark
-- There need not be such a thread yet. Those whose readers are long gone are forgotten on the way.
with forgotten as (
    delete from langyard.thread_readers where until < now() - interval '1 hour' and thread_id <> all(%(thread_ids)s)
)
insert into langyard.thread_readers as r (thread_id, until)
select thread_id, now() + make_interval(secs => %(for_s)s) from unnest(%(thread_ids)s) as g(thread_id)
order by thread_id
on conflict (thread_id) do update set until = greatest(r.until, excluded.until);

-- name: runs
-- What is open on these threads, and what has begun since: it may be over already. Oldest first.
select thread_id, run_id, status, created_at from langyard.runs
where thread_id = any(%(thread_ids)s) and status in ('pending', 'running')
union
select thread_id, run_id, status, created_at from langyard.runs
where thread_id = any(%(thread_ids)s) and created_at > now() - make_interval(secs => %(since_s)s)
order by created_at, run_id;

-- name: read
select run_id, seq, event, data from langyard.events
where thread_id = %(thread_id)s and seq > %(after)s
order by seq limit %(limit)s;

-- name: last
select seq from langyard.events where thread_id = %(thread_id)s order by seq desc limit 1;

-- name: latest
select r.run_id, r.status, t.status as thread_status, extract(epoch from now() - r.created_at)::float8 as age_s,
    extract(epoch from now() - r.finished_at)::float8 as over_s
from langyard.runs r join langyard.threads t using (thread_id)
where r.thread_id = %(thread_id)s order by r.created_at desc limit 1;
