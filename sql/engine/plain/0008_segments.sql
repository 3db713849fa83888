-- Segments: the readings of a closed UTC day, one row per point instead of one per reading, and
-- the views that read both forms as one.

CREATE TABLE public.m_segment (
    day timestamptz NOT NULL,
    first_ts timestamptz NOT NULL,
    last_ts timestamptz NOT NULL,
    ts_step bigint NOT NULL,
    v_base bigint,
    v_scale float8,
    point_sk integer NOT NULL,
    n integer NOT NULL,
    ts_unit integer NOT NULL,
    t0 "char"[],
    t1 "char"[],
    t2 "char"[],
    t3 "char"[],
    t4 "char"[],
    v0 "char"[],
    v1 "char"[],
    v2 "char"[],
    v3 "char"[],
    v_exact float8[],
    v_bool boolean[],
    v_text text[],
    qual smallint[],
    meta jsonb[],
    CONSTRAINT m_segment_point_day_key UNIQUE (point_sk, day)
) PARTITION BY RANGE (day);
COMMENT ON TABLE public.m_segment IS
    'The readings of one point in one closed UTC day. Reading i (from 0) was taken at first_ts + '
    '(ts_step * i + t) * ts_unit microseconds, where t = t0 + 256 t1 + 65536 t2 …, and is '
    '(v_base + v) / v_scale, or v_exact where the values are no scaled integers. A part that is '
    'zero, or absent, in the whole day is NULL. Bytes of one weight stand together, because the '
    'upper ones hardly change and compress to nothing.';
COMMENT ON COLUMN public.m_segment.day IS 'Midnight UTC at which the day begins.';
COMMENT ON COLUMN public.m_segment.v_scale IS
    'Power of ten by which all values of the day are integers, to the last bit; NULL: v_exact.';

CREATE TABLE public.closed_days (
    day date PRIMARY KEY,
    state text NOT NULL CHECK (state IN ('closing', 'closed')),
    built_to bigint NOT NULL DEFAULT -2147483649,
    waits_for text[],
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    closed_at timestamptz,
    readings bigint NOT NULL DEFAULT 0,
    segments integer NOT NULL DEFAULT 0,
    merged bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE public.closed_days IS
    'UTC days whose readings are, or are being, moved into segments.';
COMMENT ON COLUMN public.closed_days.built_to IS
    'Points up to this key have their segment; an interrupted run goes on behind it.';
COMMENT ON COLUMN public.closed_days.waits_for IS
    'Transactions that may not see all segments of the day; NULL: it is not known which.';
COMMENT ON COLUMN public.closed_days.merged IS 'Late readings taken into segments since.';

CREATE TABLE public.closing_points (
    day date NOT NULL,
    point_sk integer NOT NULL,
    PRIMARY KEY (day, point_sk)
);
COMMENT ON TABLE public.closing_points IS
    'Points that got a reading while their day was being closed: their segment is built again.';

-- TOAST compresses the arrays: by lz4 where the server has it, else by pglz, which all have.
DO $$
DECLARE
    part record;
BEGIN
    FOR part IN
        SELECT attname FROM pg_catalog.pg_attribute
        WHERE attrelid = 'public.m_segment'::regclass AND attnum > 0 AND attstorage = 'x'
    LOOP
        EXECUTE format('ALTER TABLE public.m_segment ALTER %I SET COMPRESSION lz4', part.attname);
    END LOOP;
EXCEPTION WHEN feature_not_supported OR invalid_parameter_value THEN
    NULL;
END
$$;

-- One text for the view that everybody's readings come from and for the function by which a new
-- segment is checked. Set-returning functions in the select list run in step, without a
-- materialised copy each as in FROM, and absolute bytes need no window. OFFSET 0 keeps bounds on
-- ts from computing it once for each of them.
DO $$
DECLARE
    decode text := $decode$
        SELECT s.point_sk, s.day, f.ts,
               CASE WHEN s.v_scale IS NULL THEN f.v_exact
                    WHEN s.v1 IS NULL THEN (s.v_base + coalesce(f.v0::integer, 0))::float8 / s.v_scale
                    ELSE (s.v_base + f.v0::integer + f.v1::integer * 256
                          + coalesce(f.v2::integer, 0) * 65536
                          + coalesce(f.v3::integer, 0) * 16777216::bigint)::float8 / s.v_scale
               END AS v_num,
               f.v_bool, f.v_text, coalesce(f.qual, 0::smallint) AS qual, f.meta
        FROM %s s
        CROSS JOIN LATERAL (
            SELECT s.first_ts + (
                       g.i * s.ts_step
                       + CASE WHEN s.t1 IS NULL THEN coalesce(g.t0, 0)
                              WHEN s.t2 IS NULL THEN g.t0 + g.t1 * 256
                              ELSE g.t0 + g.t1 * 256 + g.t2 * 65536
                                   + coalesce(g.t3, 0) * 16777216::bigint
                                   + coalesce(g.t4, 0) * 4294967296
                         END
                   ) * s.ts_unit * interval '1 microsecond' AS ts,
                   g.v0, g.v1, g.v2, g.v3, g.v_exact, g.v_bool, g.v_text, g.qual, g.meta
            FROM (
                SELECT generate_series(0, s.n - 1) AS i,
                       unnest(s.t0)::integer AS t0, unnest(s.t1)::integer AS t1,
                       unnest(s.t2)::integer AS t2, unnest(s.t3)::integer AS t3,
                       unnest(s.t4)::integer AS t4,
                       unnest(s.v0) AS v0, unnest(s.v1) AS v1, unnest(s.v2) AS v2,
                       unnest(s.v3) AS v3, unnest(s.v_exact) AS v_exact,
                       unnest(s.v_bool) AS v_bool, unnest(s.v_text) AS v_text,
                       unnest(s.qual) AS qual, unnest(s.meta) AS meta
            ) g
            OFFSET 0
        ) f
    $decode$;
BEGIN
    EXECUTE 'CREATE VIEW public.segment_readings AS ' || format(decode, 'public.m_segment');
    EXECUTE format(
        'CREATE FUNCTION public.decode_segment(segment public.m_segment) '
        'RETURNS SETOF public.segment_readings LANGUAGE sql IMMUTABLE '
        'SET search_path = pg_catalog AS %L',
        format(decode, '(SELECT (segment).*)'));
END
$$;
COMMENT ON VIEW public.segment_readings IS 'The readings inside the segments. For the owner.';

CREATE FUNCTION public.byte_planes(low bigint, high bigint) RETURNS integer
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog AS $$
    -- Digits are balanced (-128 … 127), hence the limits: 127 and -128 times 1, 257, 65793, ….
    SELECT CASE WHEN low = 0 AND high = 0 THEN 0
                WHEN low >= -128 AND high <= 127 THEN 1
                WHEN low >= -32896 AND high <= 32639 THEN 2
                WHEN low >= -8421504 AND high <= 8355711 THEN 3
                WHEN low >= -2155905152 AND high <= 2139062143 THEN 4
                WHEN low >= -551911719040 AND high <= 547599908735 THEN 5
                ELSE 6 END
$$;
COMMENT ON FUNCTION public.byte_planes(bigint, bigint) IS
    'How many signed bytes hold every integer between the two.';

CREATE FUNCTION public.encode_segment(
    a_point integer, a_day timestamptz, a_ts timestamptz[], a_num float8[], a_bool boolean[],
    a_text text[], a_qual smallint[], a_meta jsonb[]
) RETURNS SETOF public.m_segment
    LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog AS $$
DECLARE
    s public.m_segment;
    offsets bigint[];
    integers bigint[];
    low bigint;
    high bigint;
    planes integer;
    scale float8;
    is_whole boolean;
    digits integer := 0;
    is_same boolean;
BEGIN
    s.point_sk := a_point;
    s.day := a_day;
    s.n := cardinality(a_ts);
    s.first_ts := a_ts[1];
    s.last_ts := a_ts[s.n];

    -- unnest gives elements in their order and nothing here changes it; a sort for each array
    -- would cost a third of the time, and the check at the end would find it out.

    -- Instants: what is left of them beside a regular grid whose step is their median distance.
    -- A float8 of less than 86,400 seconds is exact to far less than a microsecond.
    SELECT array_agg(us),
           CASE WHEN bool_and(us % 1000000 = 0) THEN 1000000
                WHEN bool_and(us % 1000 = 0) THEN 1000 ELSE 1 END
    INTO offsets, s.ts_unit
    FROM (SELECT round(date_part('epoch', o.ts - s.first_ts) * 1e6)::bigint AS us
          FROM unnest(a_ts) AS o(ts)) o;
    SELECT coalesce(percentile_disc(0.5) WITHIN GROUP (ORDER BY later - earlier), 0) / s.ts_unit,
           bool_and(later > earlier)
    INTO s.ts_step, is_same
    FROM (SELECT unnest(offsets[:s.n - 1]) AS earlier, unnest(offsets[2:]) AS later) d;
    IF NOT is_same THEN
        RAISE EXCEPTION 'the instants of point % on % are not in order', a_point, a_day
            USING ERRCODE = 'data_exception';
    END IF;
    SELECT array_agg(rest), min(rest), max(rest) INTO integers, low, high
    FROM (SELECT us / s.ts_unit - (i - 1) * s.ts_step AS rest
          FROM unnest(offsets) WITH ORDINALITY AS o(us, i)) r;
    planes := public.byte_planes(low, high);
    SELECT array_agg(((z & 255)::integer - 128)::"char") FILTER (WHERE planes > 0),
           array_agg(((z >> 8 & 255)::integer - 128)::"char") FILTER (WHERE planes > 1),
           array_agg(((z >> 16 & 255)::integer - 128)::"char") FILTER (WHERE planes > 2),
           array_agg(((z >> 24 & 255)::integer - 128)::"char") FILTER (WHERE planes > 3),
           array_agg(((z >> 32 & 255)::integer - 128)::"char") FILTER (WHERE planes > 4)
    INTO s.t0, s.t1, s.t2, s.t3, s.t4
    FROM (SELECT x + 551911719040 AS z FROM unnest(integers) AS u(x)) u;

    -- Numbers: integers over a power of ten, if that is every one of them to the last bit (an
    -- IEEE division is correctly rounded, so that 735 / 100 is the float8 that "7.35" is).
    IF a_num IS NOT NULL THEN
        LOOP
            scale := 10::float8 ^ digits;
            SELECT bool_and(CASE WHEN v = 0 THEN float8send(v) = float8send(0)
                                 WHEN abs(v) < 4503599627370496 / scale
                                 THEN round(v * scale) / scale = v ELSE false END)
                   AND count(*) = count(v)
            INTO is_whole FROM unnest(a_num[:50]) AS u(v);
            IF is_whole THEN
                SELECT bool_and(k IS NOT NULL), array_agg(k), min(k), max(k)
                INTO is_whole, integers, low, high
                FROM (SELECT CASE WHEN v = 0
                                  THEN CASE WHEN float8send(v) = float8send(0) THEN 0 END
                                  WHEN abs(v) < 4503599627370496 / scale
                                  THEN CASE WHEN round(v * scale) / scale = v
                                            THEN round(v * scale)::bigint END END AS k
                      FROM unnest(a_num) AS u(v)) u;
            END IF;
            EXIT WHEN is_whole OR digits = 6;
            digits := digits + 1;
        END LOOP;
        IF is_whole THEN
            s.v_base := low + (high - low) / 2;
            planes := public.byte_planes(low - s.v_base, high - s.v_base);
            is_whole := planes <= 4;
        END IF;
        IF is_whole THEN
            s.v_scale := scale;
            SELECT array_agg(((z & 255)::integer - 128)::"char")
                       FILTER (WHERE planes > 0),
                   array_agg(((z >> 8 & 255)::integer - 128)::"char")
                       FILTER (WHERE planes > 1),
                   array_agg(((z >> 16 & 255)::integer - 128)::"char")
                       FILTER (WHERE planes > 2),
                   array_agg(((z >> 24 & 255)::integer - 128)::"char")
                       FILTER (WHERE planes > 3)
            INTO s.v0, s.v1, s.v2, s.v3
            FROM (SELECT x - s.v_base + 2155905152 AS z
                  FROM unnest(integers) AS u(x)) u;
        ELSE
            s.v_base := NULL;
            s.v_exact := a_num;
        END IF;
    END IF;
    s.v_bool := a_bool;
    s.v_text := a_text;
    s.qual := a_qual;
    s.meta := a_meta;

    -- The rows are about to go: what was made of them must give them back, bit for bit.
    SELECT array_send(array_agg(ts)) = array_send(a_ts)
           AND CASE WHEN a_num IS NULL THEN count(v_num) = 0
                    ELSE array_send(array_agg(v_num)) = array_send(a_num) END
    INTO is_same
    FROM public.decode_segment(s);
    IF is_same IS NOT TRUE THEN
        RAISE EXCEPTION 'the segment of point % on % does not give its readings back',
            a_point, a_day USING ERRCODE = 'data_corrupted';
    END IF;
    RETURN NEXT s;
END
$$;
COMMENT ON FUNCTION public.encode_segment IS
    'One segment from the readings of a point and day, in the order of ts. Arrays without any '
    'value (a qual without any but 0) come as NULL. Raises where it would lose a bit.';

-- Readings wherever they are ------------------------------------------------------------------

-- The row legs stand first. A query waits for a day that is being switched when it locks the
-- day's rows, and looks up the segments' partitions after that: it never meets a day that is
-- already empty here and not yet there.
CREATE VIEW public.raw_readings AS
SELECT m.point_sk, m.ts, m.v_num, m.v_bool, m.v_text, m.qual, m.meta, m.ts AS stored
FROM public.m_raw m
UNION ALL
SELECT r.point_sk, r.ts, r.v_num, r.v_bool, r.v_text, r.qual, r.meta, r.day
FROM public.segment_readings r;
COMMENT ON VIEW public.raw_readings IS
    'All readings of all tenants, for rollups and exports. For the owner. Bound stored beside ts: '
    'see its comment.';
COMMENT ON COLUMN public.raw_readings.stored IS
    'Where the reading lies: its own instant, or midnight UTC of its closed day. No bound on ts '
    'can tell a segment''s day, so whoever asks from a to b adds stored >= midnight of a and '
    'stored < b, and the other days are not opened.';

CREATE OR REPLACE VIEW public.ts_measure_tenant WITH (security_barrier) AS
SELECT d.tenant_id, d.device_id, d.point_id, m.ts, m.v_num, m.v_bool, m.v_text, m.qual, m.meta,
       m.ts AS stored
FROM public.dim_point d
JOIN public.m_raw m ON m.point_sk = d.point_sk
WHERE d.tenant_id = public.current_tenant_id()
  AND m.ts >= (
      SELECT coalesce(now() - make_interval(days => t.raw_retention_days), '-infinity')
      FROM public.tenants t WHERE t.id = public.current_tenant_id())
UNION ALL
SELECT d.tenant_id, d.device_id, d.point_id, r.ts, r.v_num, r.v_bool, r.v_text, r.qual, r.meta,
       r.day
FROM public.dim_point d
JOIN public.segment_readings r ON r.point_sk = d.point_sk
WHERE d.tenant_id = public.current_tenant_id()
  AND r.ts >= (
      SELECT coalesce(now() - make_interval(days => t.raw_retention_days), '-infinity')
      FROM public.tenants t WHERE t.id = public.current_tenant_id());
COMMENT ON COLUMN public.ts_measure_tenant.stored IS
    'Where the reading lies: its own instant, or midnight UTC of its closed day. Whoever asks for '
    'ts from a to b adds stored >= midnight UTC of a and stored < b, and is answered sooner.';

-- What rollups are computed from, wherever it lies: late readings are of closed days, too. What is
-- not refreshed yet never is (closable_days), and is read from rollup_rows.
CREATE VIEW public.rollup_source AS
SELECT m.point_sk, m.ts, m.v_num,
       CASE WHEN m.v_num BETWEEN -1e290 AND 1e290 THEN m.v_num
            WHEN m.v_num > 0 THEN 1e290 ELSE -1e290 END AS addend,
       m.stored
FROM public.raw_readings m
WHERE m.v_num IS NOT NULL;
