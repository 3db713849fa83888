-- The refresh of the rollups, and what is told of it. Run by traksense_owner.

-- name: only_refresh
-- Whether this transaction is the only one that refreshes or seals, until it ends; and settings
-- for it. Room for its groups, so that those of a slice need no file. No compiling, which takes
-- longer than what it compiles, and no parallel workers: ingestion needs the processors. No wait
-- for the disk while locks are held: what a crash takes it takes whole, and the next run does it
-- again.
SELECT pg_catalog.pg_try_advisory_xact_lock(
           pg_catalog.hashtextextended('traksense.rollups refresh', 0)),
       pg_catalog.set_config('work_mem', '64MB', true),
       pg_catalog.set_config('jit', 'off', true),
       pg_catalog.set_config('max_parallel_workers_per_gather', '0', true),
       pg_catalog.set_config('synchronous_commit', 'off', true);

-- name: seal
-- Closes the minutes that are over; false: there are more of them than this may close at once.
-- The transaction has to end at once: ingestion waits for it.
SELECT public.seal_rollups(%(wall_clock)s, %(most)s);

-- name: summarize_pages
-- Lets this refresh and later ones pass over pages that hold other instants only.
SELECT public.summarize_pages(%(summary)s::regclass, %(first)s, %(end)s);

-- name: by_pages
-- off: the next statements find their rows by the summary of the pages and group them by hash,
-- whatever the planner thinks of a day that began minutes ago. on: as it likes.
SELECT pg_catalog.set_config('enable_seqscan', %(other_ways)s, true),
       pg_catalog.set_config('enable_indexscan', %(other_ways)s, true),
       pg_catalog.set_config('enable_sort', %(other_ways)s, true);

-- name: work
-- What a refresh has to do: for each level what is refreshed and up to where it is to be, at
-- most so far at once; whether that leaves something sealed to the next; and whether all of it
-- lies in rows, as it does unless a state was set back by hand.
WITH reach AS (
    SELECT s.refreshed AS begun, least(s.sealed, s.refreshed + %(most)s::interval) AS at,
           s.sealed, s.pass
    FROM public.rollup_state s
    WHERE s.level = '1m' AND s.refreshed > '-infinity'
), steps (level, step) AS (
    VALUES ('1m', interval '1 minute'), ('5m', interval '5 minutes'), ('1h', interval '1 hour')
)
SELECT s.level, s.refreshed,
       greatest(s.refreshed, date_bin(t.step, reach.at, '2000-01-01 00:00Z')), reach.pass,
       reach.at < reach.sealed,
       NOT EXISTS (SELECT FROM public.closed_days k
                   WHERE k.day >= (reach.begun AT TIME ZONE 'UTC')::date)
FROM public.rollup_state s
JOIN steps t USING (level)
CROSS JOIN reach
ORDER BY t.step;

-- name: marks_to_do
-- Whether there are marks of the passes that are over; and the first that is left to the next
-- refresh, the one after so many of them, NULL where there are no more.
SELECT EXISTS (SELECT FROM public.rollup_dirty d WHERE d.pass < %(pass)s), m.*
FROM (VALUES (true)) AS t
LEFT JOIN LATERAL (
    SELECT d.pass, d.point_sk, d.bucket
    FROM public.rollup_dirty d
    WHERE d.pass < %(pass)s
    ORDER BY d.pass, d.point_sk, d.bucket
    OFFSET %(most)s LIMIT 1
) m ON true;

-- name: ensure_partitions
-- Month partitions of every level between two UTC days; how many were made.
SELECT public.ensure_rollup_partitions(%(first)s::date, %(last)s::date);

-- name: ensure_partitions_of_work
-- Month partitions for what is to be refreshed, where the job that makes them ahead has not run
-- or a mark is older than it thinks of; how many were made.
SELECT public.ensure_rollup_partitions(
    least((s.refreshed AT TIME ZONE 'UTC')::date, (SELECT min(d.bucket AT TIME ZONE 'UTC')::date
                                                   FROM public.rollup_dirty d)),
    (s.sealed AT TIME ZONE 'UTC')::date)
FROM public.rollup_state s
WHERE s.level = '1m' AND s.refreshed > '-infinity';

-- name: one_minute
-- The minute that has just been sealed: a bucket a point, with nothing to group by but that.
WITH b AS MATERIALIZED (
    SELECT x.point_sk, sum(x.addend) AS s, min(x.v_num) AS mn, max(x.v_num) AS mx,
           count(*)::integer AS n
    FROM public.rollup_rows x
    WHERE x.ts >= %(first)s AND x.ts < %(end)s
    GROUP BY x.point_sk
)
INSERT INTO public.r_1m AS r (bucket, s, mn, mx, point_sk, n)
SELECT %(first)s, b.s, b.mn, b.mx, b.point_sk, b.n
FROM b
ORDER BY b.point_sk

-- name: minutes
-- All minutes of a span.
WITH b AS MATERIALIZED (
    SELECT x.point_sk, date_bin('1 minute', x.ts, '2000-01-01 00:00Z') AS bucket,
           sum(x.addend) AS s, min(x.v_num) AS mn, max(x.v_num) AS mx, count(*)::integer AS n
    FROM public.rollup_rows x
    WHERE x.ts >= %(first)s AND x.ts < %(end)s
    GROUP BY x.point_sk, 2
)
INSERT INTO public.r_1m AS r (bucket, s, mn, mx, point_sk, n)
SELECT b.bucket, b.s, b.mn, b.mx, b.point_sk, b.n
FROM b
ORDER BY b.point_sk, b.bucket

-- name: minutes_of_closed_days
-- The same of a span of which a part lies in segments.
WITH b AS MATERIALIZED (
    SELECT x.point_sk, date_bin('1 minute', x.ts, '2000-01-01 00:00Z') AS bucket,
           sum(x.addend) AS s, min(x.v_num) AS mn, max(x.v_num) AS mx, count(*)::integer AS n
    FROM public.rollup_source x
    WHERE x.ts >= %(first)s AND x.ts < %(end)s
      AND x.stored >= date_bin('1 day', %(first)s, '2000-01-01 00:00Z') AND x.stored < %(end)s
    GROUP BY x.point_sk, 2
)
INSERT INTO public.r_1m AS r (bucket, s, mn, mx, point_sk, n)
SELECT b.bucket, b.s, b.mn, b.mx, b.point_sk, b.n
FROM b
ORDER BY b.point_sk, b.bucket

-- name: five_minutes
-- Five minutes from minutes, of the buckets that are over.
WITH b AS MATERIALIZED (
    SELECT x.point_sk, date_bin('5 minutes', x.bucket, '2000-01-01 00:00Z') AS bucket,
           sum(x.s) AS s, min(x.mn) AS mn, max(x.mx) AS mx, sum(x.n)::integer AS n
    FROM public.r_1m x
    WHERE x.bucket >= %(first)s AND x.bucket < %(end)s
    GROUP BY x.point_sk, 2
)
INSERT INTO public.r_5m AS r (bucket, s, mn, mx, point_sk, n)
SELECT b.bucket, b.s, b.mn, b.mx, b.point_sk, b.n
FROM b
ORDER BY b.point_sk, b.bucket

-- name: hours
-- Hours from five minutes, of the buckets that are over.
WITH b AS MATERIALIZED (
    SELECT x.point_sk, date_bin('1 hour', x.bucket, '2000-01-01 00:00Z') AS bucket,
           sum(x.s) AS s, min(x.mn) AS mn, max(x.mx) AS mx, sum(x.n)::integer AS n
    FROM public.r_5m x
    WHERE x.bucket >= %(first)s AND x.bucket < %(end)s
    GROUP BY x.point_sk, 2
)
INSERT INTO public.r_1h AS r (bucket, s, mn, mx, point_sk, n)
SELECT b.bucket, b.s, b.mn, b.mx, b.point_sk, b.n
FROM b
ORDER BY b.point_sk, b.bucket

-- name: keep_fuller
-- Ends the statements above where buckets are there already. Readings are only ever added,
-- so a bucket computed anew holds as many or more; one with less is of readings that retention
-- has taken meanwhile, and what there is stays.
ON CONFLICT (point_sk, bucket) DO UPDATE
SET s = excluded.s, mn = excluded.mn, mx = excluded.mx, n = excluded.n
WHERE excluded.n > r.n;

-- name: late_minutes
-- Marked minutes anew, and what lies between those of a point and day: late readings come in
-- runs, and a closed day is unpacked once for all of them. Only what became fuller is written.
-- Marks that are not refreshed yet are left out: their minutes are computed when they are.
INSERT INTO public.r_1m AS r (bucket, s, mn, mx, point_sk, n)
SELECT b.bucket, b.s, b.mn, b.mx, m.point_sk, b.n
FROM (
    SELECT d.point_sk, date_bin('1 day', d.bucket, '2000-01-01 00:00Z') AS day,
           min(d.bucket) AS first, max(d.bucket) + interval '1 minute' AS ends
    FROM public.rollup_dirty d
    WHERE (d.pass, d.point_sk, d.bucket) < (%(pass)s, %(point_sk)s, %(mark)s)
      AND d.bucket < %(refreshed)s
    GROUP BY 1, 2
    ORDER BY 1, 2
) m
CROSS JOIN LATERAL (
    SELECT date_bin('1 minute', x.ts, '2000-01-01 00:00Z') AS bucket, sum(x.addend) AS s,
           min(x.v_num) AS mn, max(x.v_num) AS mx, count(*)::integer AS n
    FROM public.rollup_source x
    WHERE x.point_sk = m.point_sk AND x.ts >= m.first AND x.ts < m.ends
      AND x.stored >= m.day AND x.stored < m.ends
    GROUP BY 1
) b
WHERE b.n > coalesce((SELECT old.n FROM public.r_1m old
                      WHERE old.point_sk = m.point_sk AND old.bucket = b.bucket), 0)
ON CONFLICT (point_sk, bucket) DO UPDATE
SET s = excluded.s, mn = excluded.mn, mx = excluded.mx, n = excluded.n
WHERE excluded.n > r.n;

-- name: late_five_minutes
-- The five minutes of marked minutes anew, as far as they were refreshed before.
INSERT INTO public.r_5m AS r (bucket, s, mn, mx, point_sk, n)
SELECT m.bucket, b.s, b.mn, b.mx, m.point_sk, b.n
FROM (
    SELECT DISTINCT d.point_sk, date_bin('5 minutes', d.bucket, '2000-01-01 00:00Z') AS bucket
    FROM public.rollup_dirty d
    WHERE (d.pass, d.point_sk, d.bucket) < (%(pass)s, %(point_sk)s, %(mark)s)
      AND d.bucket < %(refreshed)s
    ORDER BY 1, 2
) m
CROSS JOIN LATERAL (
    SELECT sum(x.s) AS s, min(x.mn) AS mn, max(x.mx) AS mx, sum(x.n)::integer AS n
    FROM public.r_1m x
    WHERE x.point_sk = m.point_sk
      AND x.bucket >= m.bucket AND x.bucket < m.bucket + interval '5 minutes'
    HAVING count(*) > 0
) b
ON CONFLICT (point_sk, bucket) DO UPDATE
SET s = excluded.s, mn = excluded.mn, mx = excluded.mx, n = excluded.n
WHERE excluded.n > r.n;

-- name: late_hours
-- The hours of marked minutes anew, as far as they were refreshed before.
INSERT INTO public.r_1h AS r (bucket, s, mn, mx, point_sk, n)
SELECT m.bucket, b.s, b.mn, b.mx, m.point_sk, b.n
FROM (
    SELECT DISTINCT d.point_sk, date_bin('1 hour', d.bucket, '2000-01-01 00:00Z') AS bucket
    FROM public.rollup_dirty d
    WHERE (d.pass, d.point_sk, d.bucket) < (%(pass)s, %(point_sk)s, %(mark)s)
      AND d.bucket < %(refreshed)s
    ORDER BY 1, 2
) m
CROSS JOIN LATERAL (
    SELECT sum(x.s) AS s, min(x.mn) AS mn, max(x.mx) AS mx, sum(x.n)::integer AS n
    FROM public.r_5m x
    WHERE x.point_sk = m.point_sk
      AND x.bucket >= m.bucket AND x.bucket < m.bucket + interval '1 hour'
    HAVING count(*) > 0
) b
ON CONFLICT (point_sk, bucket) DO UPDATE
SET s = excluded.s, mn = excluded.mn, mx = excluded.mx, n = excluded.n
WHERE excluded.n > r.n;

-- name: forget_marks
-- The marks that were dealt with.
DELETE FROM public.rollup_dirty d
WHERE (d.pass, d.point_sk, d.bucket) < (%(pass)s, %(point_sk)s, %(mark)s);

-- name: refreshed
-- Levels are complete up to here.
UPDATE public.rollup_state s
SET refreshed = r.refreshed, ran_at = now(), took_ms = r.took_ms, buckets = r.buckets
FROM unnest(%(levels)s::text[], %(refreshed)s::timestamptz[], %(took_ms)s::integer[],
            %(buckets)s::bigint[]) AS r (level, refreshed, took_ms, buckets)
WHERE s.level = r.level;

-- name: progress
-- How far each level is; NULL: never refreshed.
SELECT s.level, nullif(s.sealed, '-infinity'), nullif(s.refreshed, '-infinity'), s.ran_at,
       s.took_ms, s.buckets
FROM public.rollup_state s
ORDER BY array_position(ARRAY['1m', '5m', '1h'], s.level);

-- name: marks
-- How many late minutes wait for a refresh.
SELECT count(*) FROM public.rollup_dirty;

-- name: storage
-- Tables of telemetry with their partitions: how many, the first and the last, rows by the
-- server's own estimate, and bytes with indexes.
SELECT p.relname, count(c.oid), min(c.relname), max(c.relname),
       coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint,
       coalesce(sum(pg_catalog.pg_total_relation_size(c.oid)), 0)::bigint
FROM pg_catalog.pg_class p
LEFT JOIN pg_catalog.pg_inherits i ON i.inhparent = p.oid
LEFT JOIN pg_catalog.pg_class c ON c.oid = CASE p.relkind WHEN 'p' THEN i.inhrelid ELSE p.oid END
WHERE p.relnamespace = 'public'::regnamespace AND p.relkind IN ('r', 'p')
  AND NOT p.relispartition
  AND p.relname IN ('m_raw', 'm_segment', 'm_message', 'r_1m', 'r_5m', 'r_1h', 'rollup_dirty')
GROUP BY p.relname
ORDER BY p.relname;
