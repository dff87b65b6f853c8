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
