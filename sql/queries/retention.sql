-- What is kept for how long. Run by traksense_owner.

-- name: has_partitions
-- Whether this engine's retention is ours to run.
SELECT pg_catalog.to_regprocedure('public.drop_oldest(text, timestamptz)') IS NOT NULL;

-- name: drop_oldest
-- Drops the oldest partition of a level if it ends no later than this; its name, else NULL.
SELECT public.drop_oldest(%(level)s, %(up_to)s);

-- name: purge_dead_letters
-- Deletes some of the dead letters that last came before this; how many.
SELECT public.purge_dead_letters(%(before)s, %(most)s);

-- name: begin_rewrite
-- A month of rollups that ended before this and is not in order yet; NULL: all are.
SELECT public.begin_rewrite(%(before)s);

-- name: rewrite_slice
-- Copies its next pages in order; false: all are copied.
SELECT public.rewrite_slice(%(partition)s, %(pages)s);

-- name: finish_rewrite
-- Puts the copy in its place; false: it was changed meanwhile, the copy is thrown away; NULL: not
-- yet, because of transactions that began before the copy was whole.
SELECT public.finish_rewrite(%(partition)s);

-- name: last_purges
-- The last purge of each level.
SELECT DISTINCT ON (p.level) p.level, p.up_to, p.at, p.partitions, p.rows
FROM public.purges p
ORDER BY p.level, p.at DESC;

-- name: rewritten
-- How many months of rollups are in order, and how many are being put in order.
SELECT count(*) FILTER (WHERE r.state = 'done'), count(*) FILTER (WHERE r.state = 'copying')
FROM public.rollup_rewrites r;

-- name: purge_audit_log
-- Deletes some of the audit log's rows from before this; how many.
SELECT public.purge_audit_log(%(before)s, %(most)s);

-- name: purge_request_quotas
-- Deletes some of the counts of requests from before this minute since the epoch; how many.
SELECT public.purge_request_quotas(%(before_minute)s, %(most)s);

-- name: purge_device_minutes
-- Deletes some of the counts of devices' messages from before this; how many.
SELECT public.purge_device_minutes(%(before)s, %(most)s);
