-- name: points
-- The names that points have in a file.
SELECT p.id, s.slug, d.name, p.name, p.type, p.unit
FROM public.points p
JOIN public.devices d ON d.id = p.device_id
JOIN public.sites s ON s.id = d.site_id
WHERE p.id = ANY (%(point_ids)s::uuid[])

-- name: lines_raw
-- Slices of points as lines of CSV, a row a slice in the order asked for, oldest reading first.
--
-- EXPLAIN (ANALYZE): the order of unnest WITH ORDINALITY is known, so that nothing is sorted but
-- the readings of one slice; each slice opens the partitions of its days alone. A line made here
-- and handed over with thousands of others as one value is 590,000 a second; COPY of the same,
-- which formats and sends each column and row by itself, is 490,000.
SELECT w.n, a.rows, a.last, a.lines
FROM unnest(%(point_ids)s::uuid[], %(starts)s::timestamptz[], %(ends)s::timestamptz[],
            %(most)s::integer[], %(before)s::text[], %(after)s::text[])
    WITH ORDINALITY AS w (id, start, until, most, before, after, n)
CROSS JOIN LATERAL (
    SELECT count(*) AS rows, max(l.ts) AS last,
           convert_to(string_agg(
               replace(replace((l.ts AT TIME ZONE %(zone)s)::text, ' ', %(between)s),
                       '.', %(decimal)s)
               || w.before || l.value || w.after || l.qual || E'\r\n', ''), 'UTF8') AS lines
    FROM (
        SELECT m.ts, m.qual,
               CASE WHEN m.v_num IS NOT NULL THEN replace(m.v_num::text, '.', %(decimal)s)
                    WHEN m.v_bool THEN 'true'
                    WHEN NOT m.v_bool THEN 'false'
                    WHEN m.v_text IS NULL THEN ''
                    ELSE (
                        SELECT CASE WHEN t.text ~ '[",;\r\n]|^$'
                                    THEN '"' || replace(t.text, '"', '""') || '"'
                                    ELSE t.text END
                        FROM (
                            SELECT CASE WHEN %(guard)s::boolean
                                             AND m.v_text ~ '^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]'
                                        THEN '''' || m.v_text ELSE m.v_text END
                        ) t (text)
                    )
               END AS value
        FROM public.ts_measure_tenant m
        WHERE m.point_id = w.id AND m.ts >= w.start AND m.ts < w.until
          AND m.stored >= date_trunc('day', w.start, 'UTC') AND m.stored < w.until
        ORDER BY m.ts
        LIMIT w.most
    ) l
) a
ORDER BY w.n

-- name: lines_{level}
-- Slices of {level} as lines of CSV, in the form of lines_raw.
SELECT w.n, a.rows, a.last, a.lines
FROM unnest(%(point_ids)s::uuid[], %(starts)s::timestamptz[], %(ends)s::timestamptz[],
            %(most)s::integer[], %(before)s::text[], %(after)s::text[])
    WITH ORDINALITY AS w (id, start, until, most, before, after, n)
CROSS JOIN LATERAL (
    SELECT count(*) AS rows, max(l.bucket) AS last,
           convert_to(string_agg(
               replace((l.bucket AT TIME ZONE %(zone)s)::text, ' ', %(between)s) || w.before
               || replace(l.avg::text, '.', %(decimal)s) || %(separator)s
               || replace(l.min::text, '.', %(decimal)s) || %(separator)s
               || replace(l.max::text, '.', %(decimal)s) || %(separator)s
               || l.count || w.after, ''), 'UTF8') AS lines
    FROM (
        SELECT m.bucket, m.avg, m.min, m.max, m.count
        FROM public.ts_measure_{level}_tenant m
        WHERE m.point_id = w.id AND m.bucket >= w.start AND m.bucket < w.until
        ORDER BY m.bucket
        LIMIT w.most
    ) l
) a
ORDER BY w.n

-- name: columns_raw
-- Slices of points as columns, in the order of lines_raw: the concatenated binary values of the
-- readings, texts as an array. Each point has values in the column of its type alone.
SELECT w.n, a.*
FROM unnest(%(point_ids)s::uuid[], %(starts)s::timestamptz[], %(ends)s::timestamptz[],
            %(most)s::integer[])
    WITH ORDINALITY AS w (id, start, until, most, n)
CROSS JOIN LATERAL (
    SELECT count(*) AS rows, max(l.ts) AS last,
           string_agg(timestamptz_send(l.ts), '') AS ts,
           string_agg(float8send(l.v_num), '') AS v_num,
           string_agg(boolsend(l.v_bool), '') AS v_bool,
           array_agg(l.v_text) FILTER (WHERE l.v_text IS NOT NULL) AS v_text,
           string_agg(int2send(l.qual), '') AS qual
    FROM (
        SELECT m.ts, m.v_num, m.v_bool, m.v_text, m.qual
        FROM public.ts_measure_tenant m
        WHERE m.point_id = w.id AND m.ts >= w.start AND m.ts < w.until
          AND m.stored >= date_trunc('day', w.start, 'UTC') AND m.stored < w.until
        ORDER BY m.ts
        LIMIT w.most
    ) l
) a
ORDER BY w.n

-- name: columns_{level}
-- Slices of {level} as columns, in the form of columns_raw.
SELECT w.n, a.*
FROM unnest(%(point_ids)s::uuid[], %(starts)s::timestamptz[], %(ends)s::timestamptz[],
            %(most)s::integer[])
    WITH ORDINALITY AS w (id, start, until, most, n)
CROSS JOIN LATERAL (
    SELECT count(*) AS rows, max(l.bucket) AS last,
           string_agg(timestamptz_send(l.bucket), '') AS ts,
           string_agg(float8send(l.avg), '') AS avg,
           string_agg(float8send(l.min), '') AS min,
           string_agg(float8send(l.max), '') AS max,
           string_agg(int8send(l.count::int8), '') AS count
    FROM (
        SELECT m.bucket, m.avg, m.min, m.max, m.count
        FROM public.ts_measure_{level}_tenant m
        WHERE m.point_id = w.id AND m.bucket >= w.start AND m.bucket < w.until
        ORDER BY m.bucket
        LIMIT w.most
    ) l
) a
ORDER BY w.n
