-- name: read
select seq, event, data from langyard.events
where run_id = %(run_id)s and seq > %(after)s
order by seq limit %(limit)s;

-- name: last
select coalesce(max(seq), 0) as seq from langyard.events where run_id = %(run_id)s;

-- name: behind
-- Which of these runs have events above the number named with each.
select g.run_id from unnest(%(run_ids)s, %(seen)s) as g(run_id, seen)
where exists (select from langyard.events e where e.run_id = g.run_id and e.seq > g.seen);

-- name: sweep
-- Events outlive their run by the retention time; those of a run under way are kept however old they are.
delete from langyard.events e
where (e.run_id, e.seq) in (
    select x.run_id, x.seq from langyard.events x
    where x.created_at < now() - make_interval(secs => %(retention_s)s)
        and not exists (
            select from langyard.runs r where r.run_id = x.run_id and (
                r.status in ('pending', 'running') or r.finished_at > now() - make_interval(secs => %(retention_s)s)))
    order by x.created_at limit %(limit)s
    for update of x skip locked
);
