-- name: create
-- No row: there is such a thread.
insert into langyard.threads (thread_id, metadata, ttl_strategy, ttl, expires_at)
values (
    %(thread_id)s, %(metadata)s::jsonb, %(strategy)s::text, make_interval(secs => %(ttl_s)s::float8),
    now() + make_interval(secs => %(ttl_s)s::float8)
)
on conflict (thread_id) do nothing
returning thread_id, status, metadata, config, "values"::text as "values", interrupts, error, created_at, updated_at,
    state_updated_at, ttl_strategy, extract(epoch from ttl)::float8 as ttl_s, expires_at, open_runs, revision;

-- name: find
select thread_id, status, metadata, config, "values"::text as "values", interrupts, error, created_at, updated_at,
    state_updated_at, ttl_strategy, extract(epoch from ttl)::float8 as ttl_s, expires_at, open_runs, revision
from langyard.threads where thread_id = %(thread_id)s;
