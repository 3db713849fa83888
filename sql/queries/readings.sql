-- name: points
-- Up to ten points of one device, one row for each as it was asked for, and what holds for all of
-- their tenant: its time zone, and for how many days it keeps each level where that is less than
-- the platform does. No device, no row; a point that the device does not have comes with a NULL id.
WITH device AS (
    SELECT d.id FROM public.devices d
    WHERE d.id = %(device_id)s::uuid OR d.name = %(device_name)s::text
)
SELECT device.id, p.id, p.name, p.type, p.unit, t.time_zone,
       t.raw_retention_days, t.retention_1m_days, t.retention_5m_days, t.retention_1h_days
FROM device
JOIN public.tenants t ON t.id = public.current_tenant_id()
CROSS JOIN unnest(%(point_ids)s::uuid[], %(point_names)s::text[])
    WITH ORDINALITY AS wanted (id, name, n)
LEFT JOIN public.points p
    ON p.device_id = device.id AND (p.id = wanted.id OR p.name = wanted.name)
ORDER BY wanted.n

-- name: count_raw
-- How many readings each point has between two instants, counted up to "rows" and no further: a
-- LIMIT without an order ends the reading, through the view's barrier too.
SELECT wanted.id, c.found
FROM unnest(%(point_ids)s::uuid[]) AS wanted (id)
CROSS JOIN LATERAL (
    SELECT count(*) AS found
    FROM (
        SELECT FROM public.ts_measure_tenant m
        WHERE m.point_id = wanted.id AND m.ts >= %(start)s AND m.ts < %(end)s
          AND m.stored >= date_trunc('day', %(start)s::timestamptz, 'UTC') AND m.stored < %(end)s
        LIMIT %(rows)s
    ) l
) c

-- name: count_1m
-- How many buckets of 1m hold something of each point, counted up to "rows".
SELECT wanted.id, c.found
FROM unnest(%(point_ids)s::uuid[]) AS wanted (id)
CROSS JOIN LATERAL (
    SELECT count(*) AS found
    FROM (
        SELECT FROM public.ts_measure_1m_tenant m
        WHERE m.point_id = wanted.id AND m.bucket >= %(start)s AND m.bucket < %(end)s
        LIMIT %(rows)s
    ) l
) c

-- name: count_5m
-- How many buckets of 5m hold something of each point, counted up to "rows".
SELECT wanted.id, c.found
FROM unnest(%(point_ids)s::uuid[]) AS wanted (id)
CROSS JOIN LATERAL (
    SELECT count(*) AS found
    FROM (
        SELECT FROM public.ts_measure_5m_tenant m
        WHERE m.point_id = wanted.id AND m.bucket >= %(start)s AND m.bucket < %(end)s
        LIMIT %(rows)s
    ) l
) c

-- name: rows_raw
-- The first "rows" readings of num points between two instants, one row per point with each column
-- as the concatenated binary values of its readings, oldest first.
--
-- EXPLAIN (ANALYZE) on 14 days of 121,000 readings a point: the view's barrier lets the uuid and
-- the plain ts bounds through (uuid_eq and timestamptz's comparisons are leakproof), so dim_point
-- is one index lookup, partitions outside the bounds are never opened, and each remaining one is
-- searched by its (point_sk, ts) key for the bounds. The barrier hides the key's order, therefore
-- a sort stands above it. "stored" bounds the days of closed readings as ts bounds the others.
SELECT wanted.id, r.ts, r.value, r.qual
FROM unnest(%(point_ids)s::uuid[]) AS wanted (id)
CROSS JOIN LATERAL (
    SELECT string_agg(timestamptz_send(l.ts), '') AS ts,
           string_agg(float8send(l.v_num), '') AS value,
           string_agg(int2send(l.qual), '') AS qual
    FROM (
        SELECT m.ts, m.v_num, m.qual
        FROM public.ts_measure_tenant m
        WHERE m.point_id = wanted.id AND m.ts >= %(start)s AND m.ts < %(end)s
          AND m.stored >= date_trunc('day', %(start)s::timestamptz, 'UTC') AND m.stored < %(end)s
          AND m.v_num IS NOT NULL
        ORDER BY m.ts
        LIMIT %(rows)s
    ) l
) r

-- name: rows_{level}
-- The first "rows" buckets of {level} of num points, in the form of rows_raw.
SELECT wanted.id, r.ts, r.avg, r.min, r.max, r.count
FROM unnest(%(point_ids)s::uuid[]) AS wanted (id)
CROSS JOIN LATERAL (
    SELECT string_agg(timestamptz_send(l.bucket), '') AS ts,
           string_agg(float8send(l.avg), '') AS avg,
           string_agg(float8send(l.min), '') AS min,
           string_agg(float8send(l.max), '') AS max,
           string_agg(int8send(l.count::int8), '') AS count
    FROM (
        SELECT m.bucket, m.avg, m.min, m.max, m.count
        FROM public.ts_measure_{level}_tenant m
        WHERE m.point_id = wanted.id AND m.bucket >= %(start)s AND m.bucket < %(end)s
        ORDER BY m.bucket
        LIMIT %(rows)s
    ) l
) r

-- name: values
-- The first "rows" readings of bool, enum and text points, and about "text_bytes" of texts, oldest
-- first. "found" is how many there were before the texts were cut.
SELECT wanted.id, r.found, r.ts, r.v_bool, r.v_text, r.qual
FROM unnest(%(point_ids)s::uuid[]) AS wanted (id)
CROSS JOIN LATERAL (
    SELECT count(*) AS found,
           string_agg(timestamptz_send(k.ts), '') FILTER (WHERE k.kept) AS ts,
           array_agg(k.v_bool) FILTER (WHERE k.kept) AS v_bool,
           array_agg(k.v_text) FILTER (WHERE k.kept) AS v_text,
           string_agg(int2send(k.qual), '') FILTER (WHERE k.kept) AS qual
    FROM (
        SELECT l.*, COALESCE(sum(octet_length(l.v_text)) OVER (ORDER BY l.ts)
                             - octet_length(l.v_text), 0) <= %(text_bytes)s AS kept
        FROM (
            SELECT m.ts, m.v_bool, m.v_text, m.qual
            FROM public.ts_measure_tenant m
            WHERE m.point_id = wanted.id AND m.ts >= %(start)s AND m.ts < %(end)s
              AND m.stored >= date_trunc('day', %(start)s::timestamptz, 'UTC')
              AND m.stored < %(end)s
            ORDER BY m.ts
            LIMIT %(rows)s
        ) l
        ORDER BY l.ts
    ) k
) r

-- name: changes
-- As values, of each run of equal values only the first reading.
SELECT wanted.id, r.found, r.ts, r.v_bool, r.v_text, r.qual
FROM unnest(%(point_ids)s::uuid[]) AS wanted (id)
CROSS JOIN LATERAL (
    SELECT count(*) AS found,
           string_agg(timestamptz_send(k.ts), '') FILTER (WHERE k.kept) AS ts,
           array_agg(k.v_bool) FILTER (WHERE k.kept) AS v_bool,
           array_agg(k.v_text) FILTER (WHERE k.kept) AS v_text,
           string_agg(int2send(k.qual), '') FILTER (WHERE k.kept) AS qual
    FROM (
        SELECT l.*, COALESCE(sum(octet_length(l.v_text)) OVER (ORDER BY l.ts)
                             - octet_length(l.v_text), 0) <= %(text_bytes)s AS kept
        FROM (
            SELECT m.ts, m.v_bool, m.v_text, m.qual
            FROM (
                SELECT t.ts, t.v_bool, t.v_text, t.qual,
                       row_number() OVER w = 1
                       OR t.v_bool IS DISTINCT FROM lag(t.v_bool) OVER w
                       OR t.v_text IS DISTINCT FROM lag(t.v_text) OVER w AS is_change
                FROM public.ts_measure_tenant t
                WHERE t.point_id = wanted.id AND t.ts >= %(start)s AND t.ts < %(end)s
                  AND t.stored >= date_trunc('day', %(start)s::timestamptz, 'UTC')
                  AND t.stored < %(end)s
                WINDOW w AS (ORDER BY t.ts)
            ) m
            WHERE m.is_change
            ORDER BY m.ts
            LIMIT %(rows)s
        ) l
        ORDER BY l.ts
    ) k
) r

-- name: latest
-- The newest reading of each point of a device. A device without points gives one row of NULLs,
-- no device gives none.
SELECT r.point_id, r.name, r.type, r.unit, r.ts, r.v_num, r.v_bool, r.v_text, r.qual
FROM public.latest_readings(%(device_id)s::uuid, %(device_name)s::text) r
