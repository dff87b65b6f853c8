-- name: sync
-- The system assistants of these graphs. One that was patched is its users' by now and stays as they left it.
with named as (
    select * from unnest(%(assistant_ids)s, %(graph_ids)s, %(names)s, %(descriptions)s)
        as n(assistant_id, graph_id, name, description)
), put as (
    insert into langyard.assistants as a (assistant_id, graph_id, name, description, metadata)
    select assistant_id, graph_id, name, description, '{"created_by": "system"}' from named order by assistant_id
    on conflict (assistant_id) do update set name = excluded.name, description = excluded.description
    where a.version = 1 and (a.name, a.description) is distinct from (excluded.name, excluded.description)
    returning *
)
insert into langyard.assistant_versions as v
    (assistant_id, version, graph_id, name, description, config, context, metadata)
select assistant_id, version, graph_id, name, description, config, context, metadata from put
on conflict (assistant_id, version) do update set name = excluded.name, description = excluded.description;

-- name: some
select * from langyard.assistants where assistant_id = any(%(assistant_ids)s);

-- name: find
select * from langyard.assistants where assistant_id = %(assistant_id)s;

-- name: create
-- The assistant with its first version. No row: there is one with this id.
with made as (
    insert into langyard.assistants (assistant_id, graph_id, name, description, config, context, metadata)
    values (
        %(assistant_id)s, %(graph_id)s, %(name)s, %(description)s, %(config)s::jsonb, %(context)s::jsonb,
        %(metadata)s::jsonb
    )
    on conflict (assistant_id) do nothing
    returning *
), first as (
    insert into langyard.assistant_versions
        (assistant_id, version, graph_id, name, description, config, context, metadata)
    select assistant_id, version, graph_id, name, description, config, context, metadata from made
)
select * from made;

-- name: lock
select * from langyard.assistants where assistant_id = %(assistant_id)s for update;

-- name: newest
-- Asked once the row is held: what another wrote just before is seen.
select coalesce(max(version), 0) as newest from langyard.assistant_versions where assistant_id = %(assistant_id)s;

-- name: put
-- What the assistant is from now on; told to every process, for some keep it in memory.
with put as (
    update langyard.assistants set
        graph_id = %(graph_id)s, name = %(name)s, description = %(description)s, config = %(config)s::jsonb,
        context = %(context)s::jsonb, metadata = %(metadata)s::jsonb, version = %(version)s, updated_at = now()
    where assistant_id = %(assistant_id)s
    returning *
), kept as (
    insert into langyard.assistant_versions
        (assistant_id, version, graph_id, name, description, config, context, metadata)
    select assistant_id, version, graph_id, name, description, config, context, metadata from put
    on conflict do nothing
)
select put.*, pg_notify('langyard', 'assistant ' || put.assistant_id)::text as told from put;

-- name: version
select * from langyard.assistant_versions where assistant_id = %(assistant_id)s and version = %(version)s;

-- name: versions
select assistant_id, version, graph_id, name, description, config, context, metadata, created_at
from langyard.assistant_versions
where assistant_id = %(assistant_id)s and (%(metadata)s::jsonb is null or metadata @> %(metadata)s::jsonb)
order by version desc limit %(limit)s offset %(offset)s;

-- name: search
select * from langyard.assistants a where {conditions} order by {order} limit %(limit)s offset %(offset)s;

-- name: tools
-- Two say that a name is not one's alone. In the order in which the index has them, so that no other way is cheaper.
select * from langyard.assistants a where {conditions} order by a.assistant_id limit 2;

-- name: count
select count(*) as n from langyard.assistants a where {conditions};

-- name: open_runs
select run_id from langyard.runs where status in ('pending', 'running') and assistant_id = %(assistant_id)s;

-- name: delete
-- Its versions go with it.
delete from langyard.assistants where assistant_id = %(assistant_id)s
returning assistant_id, pg_notify('langyard', 'assistant ' || assistant_id)::text as told;
