-- name: claim
-- The key's row, made if there is none. No row at all: another made it in this very moment, ask again.
with mine as (
    insert into langyard.idempotency_keys (user_id, key, fingerprint, run_id)
    values (%(user_id)s, %(key)s, %(fingerprint)s, %(run_id)s)
    on conflict (user_id, key) do nothing
    returning run_id, fingerprint
)
select run_id, fingerprint, null::smallint as status, null::bytea as body from mine
union all
select run_id, fingerprint, status, body from langyard.idempotency_keys
where user_id = %(user_id)s and key = %(key)s;

-- name: store
-- The first answer stays; whoever comes second gets it back.
update langyard.idempotency_keys set status = coalesce(status, %(status)s), body = coalesce(body, %(body)s)
where user_id = %(user_id)s and key = %(key)s and run_id = %(run_id)s
returning status, body;

-- name: release
delete from langyard.idempotency_keys k
where k.user_id = %(user_id)s and k.key = %(key)s and k.run_id = %(run_id)s and k.body is null
    and not exists (select from langyard.runs r where r.run_id = k.run_id);

-- name: sweep
-- A key lives on while its run is open: its answer is still to come.
with old as (
    select user_id, key from langyard.idempotency_keys k
    where created_at < now() - make_interval(secs => %(retention_s)s)
        and not exists (
            select from langyard.runs r where r.run_id = k.run_id and r.status in ('pending', 'running'))
    order by created_at
    limit %(limit)s
    for update skip locked
)
delete from langyard.idempotency_keys k using old where k.user_id = old.user_id and k.key = old.key;
