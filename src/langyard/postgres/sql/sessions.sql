-- Lock order: a session's row first, then rows of runs, then its thread. A run is started in the same order.

-- name: create
-- The session with a thread of its own. No row: the id is taken, whoever has it.
with taken as (
    select from langyard.sessions where session_id = %(session_id)s
), thread as (
    insert into langyard.threads (thread_id, metadata)
    select %(thread_id)s, %(metadata)s::jsonb where not exists (select from taken)
    returning thread_id
)
insert into langyard.sessions (session_id, user_id, thread_id, data, ttl, expires_at)
select %(session_id)s, %(user_id)s, thread_id, %(data)s::jsonb, make_interval(secs => %(ttl_s)s),
    now() + make_interval(secs => %(ttl_s)s)
from thread
returning session_id, user_id, thread_id, data, created_at, last_accessed, expires_at;

-- name: find
select session_id, user_id, thread_id, data, created_at, last_accessed, expires_at, expires_at <= now() as expired
from langyard.sessions where session_id = %(session_id)s;

-- name: touch
update langyard.sessions s set last_accessed = now(), expires_at = now() + s.ttl
where s.session_id = %(session_id)s and s.user_id = %(user_id)s and s.expires_at > now()
returning session_id, user_id, thread_id, data, created_at, last_accessed, expires_at;

-- name: merge
-- One statement on the row as it is now: of two that set different keys at once, both survive.
update langyard.sessions s set data = s.data || %(data)s::jsonb, last_accessed = now(), expires_at = now() + s.ttl
where s.session_id = %(session_id)s and s.user_id = %(user_id)s and s.expires_at > now()
returning session_id, user_id, thread_id, data, created_at, last_accessed, expires_at;

-- name: search
select session_id, user_id, thread_id, data, created_at, last_accessed, expires_at
from langyard.sessions
where user_id = %(user_id)s and expires_at > now()
order by last_accessed desc, session_id
limit %(limit)s offset %(offset)s;

-- name: count_active
-- By the index on expires_at.
select count(*) as n from langyard.sessions where expires_at > now();

-- name: close
-- Ends its life now: nothing new starts on it, and should its deletion be cut short, the sweep completes it.
update langyard.sessions set expires_at = least(expires_at, now())
where session_id = %(session_id)s and user_id = %(user_id)s
returning session_id, user_id, thread_id, data, created_at, last_accessed, expires_at;

-- name: due
-- What nobody is deleting already; one with an open run lives on until the run has ended.
select s.session_id, s.thread_id
from langyard.sessions s join langyard.threads t using (thread_id)
where s.expires_at < now() - make_interval(secs => %(grace_s)s) and t.open_runs = 0
order by s.expires_at
limit %(limit)s
for update of s, t skip locked;

-- name: lock
select from langyard.sessions where session_id = %(session_id)s for update;

-- name: thread
select status, interrupts, revision, open_runs from langyard.threads where thread_id = %(thread_id)s;

-- name: of_thread
select session_id from langyard.sessions where thread_id = %(thread_id)s;
