-- name: begin_export
-- An export runs from now on, if this attempt is its own.
UPDATE public.exports e
SET status = 'PROCESSING', started_at = coalesce(e.started_at, now())
WHERE e.id = %(export_id)s AND e.attempt = %(attempt)s AND e.status IN ('PENDING', 'PROCESSING')
RETURNING e.device_id, e.point_ids, e.range_from, e.range_to, e.agg;

-- name: lock_plan
-- Who plans an export plans it alone; the second one finds what the first one made.
SELECT pg_catalog.pg_advisory_xact_lock(
    pg_catalog.hashtextextended('traksense.export_plan', 0)
    # pg_catalog.hashtextextended(%(export_id)s::text, 1));

-- name: export_to_plan
-- What was asked for, of an export that runs with this attempt, and what was planned for it already.
SELECT e.device_id, e.point_ids, e.range_from, e.range_to, e.agg,
       (SELECT count(*) FROM public.export_chunks c
        WHERE c.export_id = e.id AND c.attempt = e.attempt),
       coalesce(e.planned_rows, 0)
FROM public.exports e
WHERE e.id = %(export_id)s AND e.attempt = %(attempt)s AND e.status = 'PROCESSING';

-- name: forget_plan
-- The chunks of an earlier attempt.
DELETE FROM public.export_chunks c WHERE c.export_id = %(export_id)s;

-- name: plan_export
-- Cuts an export into chunks of about "chunk_rows" rows, of which there are at most "most_chunks".
-- Rows are ordered by site, device, point and time. What there is of a point in a UTC day is
-- estimated: num points by their hours (of a rollup no more buckets than an hour has), others by
-- counting. A day that has more rows than a chunk is cut into equal times. A point's parts leave no
-- gap from the beginning to the end of the range, so that what arrives while this runs is in one.
WITH wanted AS (
    SELECT p.id, p.type,
           row_number() OVER (
               ORDER BY s.slug COLLATE "C", d.name COLLATE "C", p.name COLLATE "C") AS n
    FROM public.points p
    JOIN public.devices d ON d.id = p.device_id
    JOIN public.sites s ON s.id = d.site_id
    WHERE (%(device_id)s::uuid IS NULL OR d.id = %(device_id)s::uuid)
      AND (%(point_ids)s::uuid[] IS NULL OR p.id = ANY (%(point_ids)s::uuid[]))
      AND (%(agg)s::text = 'raw' OR p.type = 'num')
), counted AS (
    SELECT w.n, c.day, c.rows
    FROM wanted w
    CROSS JOIN LATERAL (
        SELECT date_trunc('day', h.bucket, 'UTC') AS day,
               sum(least(h.count, %(most_an_hour)s::bigint)) AS rows
        FROM public.ts_measure_1h_tenant h
        WHERE h.point_id = w.id AND h.bucket < %(range_to)s
          AND h.bucket >= date_trunc('hour', %(range_from)s::timestamptz, 'UTC')
        GROUP BY 1
    ) c
    WHERE w.type = 'num'
    UNION ALL
    SELECT w.n, c.day, c.rows
    FROM wanted w
    CROSS JOIN LATERAL (
        SELECT date_trunc('day', m.ts, 'UTC') AS day, count(*)::numeric AS rows
        FROM public.ts_measure_tenant m
        WHERE m.point_id = w.id AND m.ts >= %(range_from)s AND m.ts < %(range_to)s
          AND m.stored >= date_trunc('day', %(range_from)s::timestamptz, 'UTC')
          AND m.stored < %(range_to)s
        GROUP BY 1
    ) c
    WHERE w.type <> 'num'
), units AS (
    SELECT w.n, w.id, coalesce(c.rows, 0) / g.pieces AS rows,
           greatest(c.day + i.i * interval '1 day' / g.pieces, %(range_from)s) AS at
    FROM wanted w
    LEFT JOIN counted c ON c.n = w.n
    CROSS JOIN LATERAL (
        SELECT greatest(ceil(coalesce(c.rows, 0) / %(chunk_rows)s::bigint), 1)::integer AS pieces
    ) g
    CROSS JOIN LATERAL generate_series(0, g.pieces - 1) AS i(i)
), total AS (
    SELECT greatest(%(chunk_rows)s::bigint, ceil(sum(u.rows) / %(most_chunks)s::bigint)) AS target
    FROM units u
), placed AS (
    SELECT u.n, u.id, u.at, u.rows,
           floor((sum(u.rows) OVER (ORDER BY u.n, u.at) - u.rows) / t.target) AS slot
    FROM units u CROSS JOIN total t
), numbered AS (
    SELECT p.n, p.id, p.at, p.rows, dense_rank() OVER (ORDER BY p.slot) - 1 AS number
    FROM placed p
), parts AS (
    SELECT p.number, p.n, p.id, min(p.at) AS at, sum(p.rows) AS rows
    FROM numbered p
    GROUP BY p.number, p.n, p.id
), bounded AS (
    SELECT p.number, p.n, p.id, p.rows,
           CASE WHEN lag(p.number) OVER of_point IS NULL THEN %(range_from)s ELSE p.at END AS starts,
           coalesce(lead(p.at) OVER of_point, %(range_to)s) AS ends
    FROM parts p
    WINDOW of_point AS (PARTITION BY p.n ORDER BY p.number)
)
INSERT INTO public.export_chunks
    (tenant_id, export_id, number, attempt, point_ids, starts, ends, planned_rows)
SELECT public.current_tenant_id(), %(export_id)s, b.number, %(attempt)s,
       array_agg(b.id ORDER BY b.n), array_agg(b.starts ORDER BY b.n),
       array_agg(b.ends ORDER BY b.n), ceil(sum(b.rows))
FROM bounded b
GROUP BY b.number
RETURNING planned_rows;

-- name: plan_nothing
-- The only chunk of an export that has no point at all: a file without rows.
INSERT INTO public.export_chunks
    (tenant_id, export_id, number, attempt, point_ids, starts, ends, planned_rows)
VALUES (public.current_tenant_id(), %(export_id)s, 0, %(attempt)s, '{}', '{}', '{}', 0);

-- name: note_plan
-- How many rows there are about, of an export that still runs.
UPDATE public.exports e SET planned_rows = %(rows)s
WHERE e.id = %(export_id)s AND e.attempt = %(attempt)s AND e.status = 'PROCESSING'
RETURNING e.id;
