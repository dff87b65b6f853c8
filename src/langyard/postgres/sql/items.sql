-- name: sweep
-- LangGraph's own table. In small batches, past what others are at; the vectors go with their item.
delete from store where (prefix, key) in (
    select prefix, key from store where expires_at < now() order by expires_at limit %(limit)s for update skip locked
);
