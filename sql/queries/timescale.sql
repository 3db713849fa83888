-- Rollups and compression on TimescaleDB. Run by traksense_owner.

-- name: only_refresh
-- Whether this transaction is the only one that refreshes, until it ends. It waits idle meanwhile,
-- because a refresh commits as it goes and needs a session of its own.
SELECT pg_catalog.pg_try_advisory_xact_lock(
           pg_catalog.hashtextextended('traksense.rollups refresh', 0)),
       pg_catalog.set_config('idle_in_transaction_session_timeout', '0', true);

-- name: seal
-- Sets up to where the next refresh goes; false: there is more than it may do at once.
SELECT public.seal_rollups(%(wall_clock)s, %(most)s);

-- name: work
-- What a refresh has to do, finest level first: what is refreshed already, and up to where it goes.
SELECT s.level, s.refreshed, s.sealed
FROM public.rollup_state s
WHERE s.refreshed > '-infinity'
ORDER BY array_position(ARRAY['1m', '5m', '1h'], s.level);

-- name: start
-- Where the refresh of a level may begin; NULL: nowhere, there is no source. To be asked when the
-- finer level, which may be the source, is done.
SELECT public.rollup_start(%(level)s);

-- name: await_writers
-- Waits for every transaction that is adding readings.
SELECT public.await_writers();

-- name: refresh_in_one
-- Whether a refresh has to be told not to go in steps of its own.
SELECT pg_catalog.to_regprocedure(
    'public.refresh_continuous_aggregate(regclass, "any", "any", boolean, jsonb)') IS NOT NULL;

-- name: refreshed
-- A level is complete up to here.
UPDATE public.rollup_state
SET refreshed = greatest(refreshed, %(refreshed)s), ran_at = clock_timestamp(),
    took_ms = %(took_ms)s, buckets = %(buckets)s
WHERE level = %(level)s;

-- name: progress
-- How far each level is; NULL: never refreshed.
SELECT s.level, nullif(s.sealed, '-infinity'), nullif(s.refreshed, '-infinity'), s.ran_at,
       s.took_ms, s.buckets
FROM public.rollup_state s
ORDER BY array_position(ARRAY['1m', '5m', '1h'], s.level);

-- name: due_chunks
-- Chunks of a level that ended before this and hold rows: whole ones first, then those that got
-- late rows.
SELECT d.chunk::text, d.is_compressed FROM public.due_chunks(%(level)s, %(before)s) d;

-- name: compress
-- Turns a chunk's rows into columns.
SELECT public.compress_chunk(%(chunk)s::regclass);

-- name: chunks
-- Each level's chunks: how many, how many are in columns, how many of those got late rows, what
-- all of them take, what those in columns took before and take now (NULL: none are), and the first
-- instant and the last.
SELECT l.level, count(k.chunk), count(*) FILTER (WHERE k.is_compressed),
       count(*) FILTER (WHERE k.is_compressed AND k.has_rows),
       (SELECT coalesce(sum(d.total_bytes), 0)::bigint
        FROM public.chunks_detailed_size(public.level_table(l.level)) d),
       (SELECT sum(s.before_compression_total_bytes)::bigint
        FROM public.chunk_compression_stats(public.level_table(l.level)) s),
       (SELECT sum(s.after_compression_total_bytes)::bigint
        FROM public.chunk_compression_stats(public.level_table(l.level)) s),
       min(k.first), max(k.ends)
FROM unnest(ARRAY['raw', '1m', '5m', '1h', 'messages']) WITH ORDINALITY AS l(level, place)
LEFT JOIN LATERAL public.level_chunks(l.level) k ON true
GROUP BY l.level, l.place
ORDER BY l.place;
