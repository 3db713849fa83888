-- Closed days: the readings of a UTC day, one row per point instead of one per reading, and what
-- keeps the two forms one to whoever reads or writes.

-- What is stored ----------------------------------------------------------------------------

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

-- How it is read and written ----------------------------------------------------------------

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

ALTER TABLE public.tenants
    ADD COLUMN raw_retention_days integer CHECK (raw_retention_days > 0),
    ADD COLUMN retention_1m_days integer CHECK (retention_1m_days > 0),
    ADD COLUMN retention_5m_days integer CHECK (retention_5m_days > 0),
    ADD COLUMN retention_1h_days integer CHECK (retention_1h_days > 0);
COMMENT ON COLUMN public.tenants.raw_retention_days IS
    'Shorter than the platform keeps them: older readings are hidden, and go with the others.';

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

-- The rollups' views compute from readings what is not refreshed yet, and no such day is ever
-- closed (closable_days): they stay with the rows. What is computed anew for late readings may lie
-- in segments.
ALTER VIEW public.rollup_source RENAME TO rollup_rows;
CREATE VIEW public.rollup_source AS
SELECT m.point_sk, m.ts, m.v_num,
       CASE WHEN m.v_num BETWEEN -1e290 AND 1e290 THEN m.v_num
            WHEN m.v_num > 0 THEN 1e290 ELSE -1e290 END AS addend,
       m.stored
FROM public.raw_readings m
WHERE m.v_num IS NOT NULL;

-- The rollups' views hide what a tenant keeps for a shorter time, too.
DO $$
DECLARE
    level text;
BEGIN
    FOREACH level IN ARRAY ARRAY['1m', '5m', '1h'] LOOP
        EXECUTE format(
            'CREATE OR REPLACE VIEW public.ts_measure_%1$s_tenant WITH (security_barrier) AS '
            'SELECT v.* FROM (%2$s) v WHERE v.bucket >= ('
            ' SELECT coalesce(now() - make_interval(days => t.retention_%1$s_days), ''-infinity'')'
            ' FROM public.tenants t WHERE t.id = public.current_tenant_id())',
            level, rtrim(pg_get_viewdef(format('public.ts_measure_%s_tenant', level)::regclass), ';'));
    END LOOP;
END
$$;

-- Closing a day -------------------------------------------------------------------------------
--
--   begin_closing   inserts past this function are refused, late readings are noted (closing_points)
--   build_slice     segments into a table of their own, some points at a time, again and again
--   catch_up        those of the points that were noted meanwhile, once more
--   finish_closing  the rest of these, then the table becomes a partition and the rows go
--   merge_late      later: rows that came for a closed day go into their segments
--
-- Each is one transaction, and after a kill the next run goes on with the one that was not
-- committed. Until finish_closing commits, readers see rows only; from then on segments.

CREATE FUNCTION public.lock_day(of_day date, is_shared boolean) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog SET DateStyle = 'ISO' AS $$
DECLARE
    key bigint := hashtextextended('traksense.day ' || of_day, 0);
BEGIN
    IF is_shared THEN
        PERFORM pg_advisory_xact_lock_shared(key);
    ELSE
        PERFORM pg_advisory_xact_lock(key);
    END IF;
END
$$;
COMMENT ON FUNCTION public.lock_day(date, boolean) IS
    'Shared: the day''s form stays what it is until the transaction ends. Else: it may change.';

CREATE FUNCTION public.utc_midnight(of_day date) RETURNS timestamptz
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog
    RETURN of_day::timestamp AT TIME ZONE 'UTC';

CREATE FUNCTION public.refuse_closed_day() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    RAISE EXCEPTION '% is closed: late readings go through add_late_readings', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'closed_day';
END
$$;

CREATE FUNCTION public.closable_days(close_after interval) RETURNS SETOF date
    LANGUAGE sql STABLE SET search_path = pg_catalog SET TimeZone = 'UTC' AS $$
    SELECT d.day
    FROM pg_inherits i
    JOIN pg_class c ON c.oid = i.inhrelid
    CROSS JOIN LATERAL (SELECT to_date(right(c.relname, 8), 'YYYYMMDD') AS day) d
    LEFT JOIN public.closed_days k ON k.day = d.day
    WHERE i.inhparent = 'public.m_raw'::regclass
      AND k.state IS DISTINCT FROM 'closed'
      AND public.utc_midnight(d.day + 1) <= clock_timestamp()
                                            - greatest(close_after, interval '1 day')
      -- What the rollups have not read yet they find among the rows.
      AND public.utc_midnight(d.day + 1) <= (SELECT min(s.refreshed) FROM public.rollup_state s)
    ORDER BY d.day
$$;
COMMENT ON FUNCTION public.closable_days(interval) IS
    'Days whose end is so long past (at least a day), oldest first, that are not closed.';

CREATE FUNCTION public.begin_closing(of_day date) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog SET TimeZone = 'UTC' SET DateStyle = 'ISO' AS $$
DECLARE
    name text := to_char(of_day, 'YYYYMMDD');
BEGIN
    IF public.utc_midnight(of_day + 1) > clock_timestamp() - interval '1 day' THEN
        RAISE EXCEPTION '% ended less than a day ago', of_day;
    END IF;
    PERFORM public.lock_day(of_day, false);
    IF EXISTS (SELECT FROM public.closed_days WHERE day = of_day) THEN
        RETURN;
    END IF;
    -- Waits for those who are writing into the day, and for nobody who reads.
    EXECUTE format(
        'CREATE TRIGGER closed_day BEFORE INSERT ON public.m_raw_%s FOR EACH ROW '
        'WHEN (current_setting(''traksense.is_late'', true) IS DISTINCT FROM ''on'') '
        'EXECUTE FUNCTION public.refuse_closed_day()', name);
    EXECUTE format(
        'CREATE TABLE public.m_segment_%s (LIKE public.m_segment INCLUDING ALL, '
        'CONSTRAINT day CHECK (day >= %L AND day < %L))',
        name, public.utc_midnight(of_day), public.utc_midnight(of_day + 1));
    INSERT INTO public.closed_days (day, state) VALUES (of_day, 'closing');
END
$$;

CREATE FUNCTION public.build_segments(target regclass, of_day date, points integer[])
    RETURNS TABLE (segments bigint, readings bigint)
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog AS $$
DECLARE
    midnight timestamptz := public.utc_midnight(of_day);
    low integer;
    high integer;
BEGIN
    SELECT min(p), max(p) INTO low, high FROM unnest(points) AS p;
    RETURN QUERY EXECUTE format(
        'WITH built AS ('
        ' INSERT INTO %s AS s'
        ' SELECT e.* FROM ('
        '  SELECT r.point_sk, array_agg(r.ts) AS ts,'
        '         CASE WHEN count(r.v_num) > 0 THEN array_agg(r.v_num) END AS v_num,'
        '         CASE WHEN count(r.v_bool) > 0 THEN array_agg(r.v_bool) END AS v_bool,'
        '         CASE WHEN count(r.v_text) > 0 THEN array_agg(r.v_text) END AS v_text,'
        '         CASE WHEN bool_or(r.qual <> 0) THEN array_agg(r.qual) END AS qual,'
        '         CASE WHEN count(r.meta) > 0 THEN array_agg(r.meta) END AS meta'
        '  FROM (SELECT x.* FROM public.raw_readings x'
        '        WHERE x.stored >= $2 AND x.stored < $2 + interval ''1 day'''
        '          AND x.point_sk BETWEEN $3 AND $4 AND x.point_sk = ANY ($1)'
        '        ORDER BY x.point_sk, x.ts) r'
        '  GROUP BY r.point_sk'
        ' ) p CROSS JOIN LATERAL public.encode_segment('
        '  p.point_sk, $2, p.ts, p.v_num, p.v_bool, p.v_text, p.qual, p.meta) e'
        ' RETURNING s.n'
        ') SELECT count(*), coalesce(sum(n), 0)::bigint FROM built', target)
        USING points, midnight, low, high;
END
$$;
COMMENT ON FUNCTION public.build_segments(regclass, date, integer[]) IS
    'Puts into a table the segments of some points'' readings of a day, wherever these are.';

CREATE FUNCTION public.build_slice(of_day date, most_rows integer) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog SET DateStyle = 'ISO' AS $$
DECLARE
    name text := to_char(of_day, 'YYYYMMDD');
    reached bigint;
    points integer[];
    built record;
BEGIN
    SELECT d.built_to INTO reached FROM public.closed_days d
    WHERE d.day = of_day AND d.state = 'closing' FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    EXECUTE format(
        'SELECT array_agg(DISTINCT point_sk) FROM ('
        ' SELECT point_sk FROM public.m_raw_%s WHERE point_sk > $1 ORDER BY point_sk LIMIT $2) r',
        name)
        INTO points USING reached, most_rows;
    IF points IS NULL THEN
        RETURN false;
    END IF;
    SELECT * INTO built
    FROM public.build_segments(format('public.m_segment_%s', name)::regclass, of_day, points);
    UPDATE public.closed_days
    SET built_to = (SELECT max(p) FROM unnest(points) AS p),
        readings = readings + built.readings, segments = segments + built.segments
    WHERE day = of_day;
    RETURN true;
END
$$;
COMMENT ON FUNCTION public.build_slice(date, integer) IS
    'Builds the segments of the next points of a day that is being closed, about so many rows; '
    'whether there were any.';

CREATE FUNCTION public.build_again(of_day date, most_points integer) RETURNS integer
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog SET DateStyle = 'ISO' AS $$
DECLARE
    target regclass := format('public.m_segment_%s', to_char(of_day, 'YYYYMMDD'))::regclass;
    points integer[];
    gone record;
    built record;
BEGIN
    WITH noted AS (
        SELECT c.point_sk FROM public.closing_points c
        WHERE c.day = of_day ORDER BY c.point_sk LIMIT most_points
    ), taken AS (
        DELETE FROM public.closing_points c USING noted
        WHERE c.day = of_day AND c.point_sk = noted.point_sk RETURNING c.point_sk
    )
    SELECT array_agg(point_sk) INTO points FROM taken;
    IF points IS NULL THEN
        RETURN 0;
    END IF;
    EXECUTE format(
        'WITH gone AS (DELETE FROM %s WHERE point_sk = ANY ($1) RETURNING n) '
        'SELECT count(*) AS segments, coalesce(sum(n), 0) AS readings FROM gone', target)
        INTO gone USING points;
    SELECT * INTO built FROM public.build_segments(target, of_day, points);
    UPDATE public.closed_days
    SET readings = readings + built.readings - gone.readings,
        segments = segments + built.segments - gone.segments
    WHERE day = of_day;
    RETURN cardinality(points);
END
$$;
COMMENT ON FUNCTION public.build_again(date, integer) IS
    'Builds the segments of noted points once more. Under the day''s exclusive lock only.';

CREATE FUNCTION public.catch_up(of_day date, most_points integer) RETURNS integer
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog AS $$
BEGIN
    PERFORM public.lock_day(of_day, false);
    IF NOT EXISTS (SELECT FROM public.closed_days WHERE day = of_day AND state = 'closing') THEN
        RETURN 0;
    END IF;
    RETURN public.build_again(of_day, most_points);
END
$$;
COMMENT ON FUNCTION public.catch_up(date, integer) IS
    'Takes up to so many noted points; how many there were.';

CREATE FUNCTION public.finish_closing(of_day date) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog SET TimeZone = 'UTC' SET DateStyle = 'ISO'
    -- While we wait for the last reader of the day's rows, the next ones wait behind us.
    SET lock_timeout = '1s' AS $$
DECLARE
    name text := to_char(of_day, 'YYYYMMDD');
BEGIN
    PERFORM public.lock_day(of_day, false);
    -- The day's own row before its table: the order of build_slice.
    PERFORM FROM public.closed_days WHERE day = of_day AND state = 'closing' FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    WHILE public.build_again(of_day, 1000) > 0 LOOP
    END LOOP;
    EXECUTE format('LOCK TABLE public.m_raw_%s IN ACCESS EXCLUSIVE MODE', name);
    EXECUTE format(
        'ALTER TABLE public.m_segment ATTACH PARTITION public.m_segment_%s '
        'FOR VALUES FROM (%L) TO (%L)',
        name, public.utc_midnight(of_day), public.utc_midnight(of_day + 1));
    EXECUTE format('ALTER TABLE public.m_segment_%s DROP CONSTRAINT day', name);
    EXECUTE format('TRUNCATE public.m_raw_%s', name);
    UPDATE public.closed_days SET state = 'closed', closed_at = clock_timestamp()
    WHERE day = of_day;
    RETURN true;
END
$$;
COMMENT ON FUNCTION public.finish_closing(date) IS
    'Switches a day, all of whose slices are built, from rows to segments; whether it did.';

CREATE FUNCTION public.late_days() RETURNS SETOF date
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog SET DateStyle = 'ISO' AS $$
DECLARE
    candidate date;
    has_rows boolean;
BEGIN
    FOR candidate IN SELECT k.day FROM public.closed_days k WHERE k.state = 'closed' ORDER BY 1 LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM public.m_raw_%s)',
                       to_char(candidate, 'YYYYMMDD')) INTO has_rows;
        IF has_rows THEN
            RETURN NEXT candidate;
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION public.late_days() IS 'Closed days that have late rows.';

CREATE FUNCTION public.merge_late(of_day date, most_points integer, OUT points integer,
                                  OUT merged bigint)
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog SET DateStyle = 'ISO' AS $$
DECLARE
    name text := to_char(of_day, 'YYYYMMDD');
    midnight timestamptz := public.utc_midnight(of_day);
    late integer[];
    was integer;
    built record;
BEGIN
    points := 0;
    merged := 0;
    PERFORM public.lock_day(of_day, false);
    IF NOT EXISTS (SELECT FROM public.closed_days WHERE day = of_day AND state = 'closed') THEN
        RETURN;
    END IF;
    EXECUTE format('SELECT array_agg(point_sk) FROM (SELECT DISTINCT point_sk FROM public.m_raw_%s'
                   ' ORDER BY point_sk LIMIT $1) p', name)
        INTO late USING most_points;
    IF late IS NULL THEN
        RETURN;
    END IF;
    points := cardinality(late);
    -- Built beside the old ones, since the new ones are made of these.
    CREATE TEMPORARY TABLE IF NOT EXISTS merged_segments (LIKE public.m_segment) ON COMMIT DROP;
    TRUNCATE pg_temp.merged_segments;
    SELECT * INTO built FROM public.build_segments('pg_temp.merged_segments'::regclass, of_day, late);
    WITH gone AS (
        DELETE FROM public.m_segment WHERE day = midnight AND point_sk = ANY (late) RETURNING n
    )
    SELECT count(*), built.readings - coalesce(sum(n), 0) INTO was, merged FROM gone;
    INSERT INTO public.m_segment SELECT * FROM pg_temp.merged_segments;
    EXECUTE format('DELETE FROM public.m_raw_%s WHERE point_sk = ANY ($1)', name) USING late;
    UPDATE public.closed_days d
    SET readings = d.readings + merge_late.merged, merged = d.merged + merge_late.merged,
        segments = d.segments + built.segments - was
    WHERE d.day = of_day;
END
$$;
COMMENT ON FUNCTION public.merge_late(date, integer) IS
    'Takes the late rows of up to so many points of a closed day into their segments.';

-- Late readings -------------------------------------------------------------------------------

CREATE FUNCTION public.list_closed_days() RETURNS date[]
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
    RETURN (SELECT coalesce(array_agg(day ORDER BY day), '{}') FROM public.closed_days);
COMMENT ON FUNCTION public.list_closed_days() IS
    'Days for which readings go through add_late_readings.';

CREATE FUNCTION public.add_late_readings(
    ts timestamptz[], v_num float8[], point_sk integer[], v_bool boolean[], v_text text[],
    meta jsonb[]
) RETURNS integer
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog SET TimeZone = 'UTC' AS $$
DECLARE
    days date[];
    each_day date;
    stored integer;
BEGIN
    SELECT array_agg(DISTINCT a.at::date ORDER BY a.at::date) INTO days FROM unnest(ts) AS a(at);
    FOREACH each_day IN ARRAY days LOOP
        PERFORM public.lock_day(each_day, true);
    END LOOP;
    PERFORM set_config('traksense.is_late', 'on', true);
    WITH late AS MATERIALIZED (
        SELECT r.* FROM unnest(ts, v_num, point_sk, v_bool, v_text, meta)
            AS r(ts, v_num, point_sk, v_bool, v_text, meta)
    ), noted AS (
        INSERT INTO public.closing_points (day, point_sk)
        SELECT DISTINCT k.day, l.point_sk
        FROM late l
        JOIN public.closed_days k ON k.day = l.ts::date AND k.state = 'closing'
        ORDER BY k.day, l.point_sk
        ON CONFLICT DO NOTHING
    ), there AS MATERIALIZED (
        SELECT s.point_sk, s.ts
        FROM (SELECT DISTINCT l.point_sk, date_trunc('day', l.ts) AS day FROM late l) w
        JOIN public.segment_readings s ON s.point_sk = w.point_sk AND s.day = w.day
    )
    INSERT INTO public.m_raw (ts, v_num, point_sk, v_bool, v_text, meta)
    SELECT l.ts, l.v_num, l.point_sk, l.v_bool, l.v_text, l.meta
    FROM late l
    WHERE NOT EXISTS (SELECT FROM there t WHERE t.point_sk = l.point_sk AND t.ts = l.ts)
    ORDER BY l.point_sk, l.ts
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS stored = ROW_COUNT;
    PERFORM set_config('traksense.is_late', 'off', true);
    RETURN stored;
END
$$;
COMMENT ON FUNCTION public.add_late_readings IS
    'Adds readings of closed days that are not there yet; how many. The first write wins.';
GRANT EXECUTE ON FUNCTION public.list_closed_days() TO traksense_ingest;
GRANT EXECUTE ON FUNCTION public.add_late_readings TO traksense_ingest;

-- Retention -------------------------------------------------------------------------------------

CREATE TABLE public.purges (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    level text NOT NULL CHECK (level IN ('raw', '1m', '5m', '1h', 'dead_letters', 'messages')),
    up_to timestamptz NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    partitions integer NOT NULL,
    rows bigint NOT NULL
);
COMMENT ON TABLE public.purges IS 'What retention has deleted, newest last.';
COMMENT ON COLUMN public.purges.rows IS
    'Readings of a closed day and dead letters are counted; of other partitions it is the '
    'server''s own estimate.';
CREATE INDEX purges_level_idx ON public.purges (level, at DESC);

CREATE FUNCTION public.partition_bounds(parent regclass)
    RETURNS TABLE (partition text, first timestamptz, ends timestamptz)
    LANGUAGE sql STABLE SET search_path = pg_catalog SET TimeZone = 'UTC' SET DateStyle = 'ISO' AS $$
    SELECT c.relname::text, b.bounds[1]::timestamptz, b.bounds[2]::timestamptz
    FROM pg_inherits i
    JOIN pg_class c ON c.oid = i.inhrelid
    CROSS JOIN LATERAL (
        SELECT regexp_match(pg_get_expr(c.relpartbound, c.oid),
                            'FROM \(''([^'']+)''\) TO \(''([^'']+)''\)') AS bounds
    ) b
    WHERE i.inhparent = parent AND b.bounds IS NOT NULL
    ORDER BY 2
$$;
COMMENT ON FUNCTION public.partition_bounds(regclass) IS
    'The partitions of a table that is partitioned by time, oldest first.';

CREATE FUNCTION public.drop_oldest(of_level text, up_to timestamptz) RETURNS text
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog SET TimeZone = 'UTC' SET DateStyle = 'ISO'
    -- To take a partition out, its table must be ours alone for a moment. Readers and writers
    -- wait behind us for as long as we wait.
    SET lock_timeout = '1s' AS $$
DECLARE
    parent regclass := format('public.%I', CASE of_level WHEN 'raw' THEN 'm_raw'
                                                         ELSE 'r_' || of_level END)::regclass;
    oldest record;
    of_day date;
    estimate bigint;
    counted bigint;
BEGIN
    SELECT * INTO oldest FROM public.partition_bounds(parent) LIMIT 1;
    IF oldest.ends IS NULL OR oldest.ends > up_to THEN
        RETURN NULL;
    END IF;
    SELECT greatest(reltuples, 0)::bigint INTO estimate
    FROM pg_class WHERE oid = format('public.%I', oldest.partition)::regclass;
    IF of_level = 'raw' THEN
        IF oldest.ends > (SELECT min(s.refreshed) FROM public.rollup_state s) THEN
            RAISE EXCEPTION 'the rollups are not refreshed up to %: % stays',
                oldest.ends, oldest.partition USING ERRCODE = 'object_in_use';
        END IF;
        of_day := oldest.first::date;
        PERFORM public.lock_day(of_day, false);
        DELETE FROM public.closed_days WHERE day = of_day AND state = 'closed'
            RETURNING readings INTO counted;
        DELETE FROM public.closed_days WHERE day = of_day;
        DELETE FROM public.closing_points WHERE day = of_day;
        LOCK TABLE ONLY public.m_raw IN ACCESS EXCLUSIVE MODE;
        LOCK TABLE ONLY public.m_segment IN ACCESS EXCLUSIVE MODE;
        EXECUTE format('DROP TABLE IF EXISTS public.m_segment_%s', to_char(of_day, 'YYYYMMDD'));
    ELSE
        EXECUTE format('DROP TABLE IF EXISTS public.%I', oldest.partition || '_sorted');
        DELETE FROM public.rollup_rewrites WHERE partition = oldest.partition;
    END IF;
    EXECUTE format('DROP TABLE public.%I', oldest.partition);
    INSERT INTO public.purges (level, up_to, partitions, rows)
    VALUES (of_level, oldest.ends, 1, coalesce(counted, estimate));
    RETURN oldest.partition;
END
$$;
COMMENT ON FUNCTION public.drop_oldest(text, timestamptz) IS
    'Drops the oldest partition of a level, with its segments, if it ends no later than this; its '
    'name, or NULL. Raw readings that the rollups have not read are never dropped.';

CREATE FUNCTION public.purge_dead_letters(before timestamptz, most integer) RETURNS integer
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog AS $$
DECLARE
    gone integer;
BEGIN
    DELETE FROM public.ingest_errors e
    WHERE e.id IN (
        SELECT o.id FROM public.ingest_errors o
        WHERE o.received_at < before AND o.last_received_at < before
        ORDER BY o.received_at LIMIT most FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS gone = ROW_COUNT;
    IF gone > 0 THEN
        INSERT INTO public.purges (level, up_to, partitions, rows)
        VALUES ('dead_letters', before, 0, gone);
    END IF;
    RETURN gone;
END
$$;
COMMENT ON FUNCTION public.purge_dead_letters(timestamptz, integer) IS
    'Deletes up to so many dead letters that last came before this; how many.';

-- Rollups in order ------------------------------------------------------------------------------
--
-- A refresh writes the buckets of all points minute by minute: a month of one point lies on as
-- many pages as it has buckets. A month that nothing late can reach any more is copied in the
-- order of (point_sk, bucket), while it is read, and the copy takes its place in one short
-- transaction. A change meanwhile shows by a trigger, and the copy begins anew.

CREATE TABLE public.rollup_rewrites (
    partition text PRIMARY KEY,
    state text NOT NULL CHECK (state IN ('copying', 'done')),
    copied_pages bigint NOT NULL DEFAULT 0,
    is_changed boolean NOT NULL DEFAULT false,
    rewritten_at timestamptz
);
COMMENT ON TABLE public.rollup_rewrites IS
    'Months of rollups that are, or are being, put in the order of (point_sk, bucket).';

CREATE FUNCTION public.note_rollup_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    UPDATE public.rollup_rewrites SET is_changed = true
    WHERE partition = TG_TABLE_NAME AND NOT is_changed;
    RETURN NULL;
END
$$;

CREATE FUNCTION public.begin_rewrite(before timestamptz) RETURNS text
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog SET lock_timeout = '1s' AS $$
DECLARE
    month record;
    parent text;
BEGIN
    FOREACH parent IN ARRAY ARRAY['r_1h', 'r_5m', 'r_1m'] LOOP
        SELECT b.*, parent AS parent, w.state INTO month
        FROM public.partition_bounds(format('public.%I', parent)::regclass) b
        LEFT JOIN public.rollup_rewrites w ON w.partition = b.partition
        WHERE b.ends <= before AND w.state IS DISTINCT FROM 'done'
        ORDER BY b.first LIMIT 1;
        EXIT WHEN FOUND;
    END LOOP;
    IF month.partition IS NULL OR month.state = 'copying' THEN
        RETURN month.partition;
    END IF;
    EXECUTE format(
        'CREATE TABLE public.%I (LIKE public.%I INCLUDING ALL, '
        'CONSTRAINT month CHECK (bucket >= %L AND bucket < %L))',
        month.partition || '_sorted', parent, month.first, month.ends);
    EXECUTE format(
        'CREATE TRIGGER is_changed AFTER INSERT OR UPDATE OR DELETE ON public.%I '
        'FOR EACH ROW EXECUTE FUNCTION public.note_rollup_change()', month.partition);
    INSERT INTO public.rollup_rewrites (partition, state) VALUES (month.partition, 'copying');
    RETURN month.partition;
END
$$;
COMMENT ON FUNCTION public.begin_rewrite(timestamptz) IS
    'A month that ended before this and is not in order yet, ready to be copied; NULL: all are.';

CREATE FUNCTION public.rewrite_slice(of_partition text, most_pages bigint) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog AS $$
DECLARE
    reached bigint;
    pages bigint;
BEGIN
    SELECT w.copied_pages INTO reached FROM public.rollup_rewrites w
    WHERE w.partition = of_partition AND w.state = 'copying' AND NOT w.is_changed FOR UPDATE;
    pages := pg_relation_size(format('public.%I', of_partition)::regclass)
             / current_setting('block_size')::integer;
    IF reached IS NULL OR reached >= pages THEN
        RETURN false;
    END IF;
    EXECUTE format(
        'INSERT INTO public.%I SELECT * FROM public.%I WHERE ctid >= %L AND ctid < %L '
        'ORDER BY point_sk, bucket '
        -- A row that was changed may stand on two pages; the copy is thrown away then.
        'ON CONFLICT DO NOTHING',
        of_partition || '_sorted', of_partition,
        format('(%s,0)', reached), format('(%s,0)', reached + most_pages));
    UPDATE public.rollup_rewrites SET copied_pages = reached + most_pages
    WHERE partition = of_partition;
    RETURN true;
END
$$;
COMMENT ON FUNCTION public.rewrite_slice(text, bigint) IS
    'Copies the next pages, sorted; whether there were any. Rows are written by time, so that a '
    'slice is a span of time in the order of (point_sk, bucket), and reads the disk in order.';

CREATE FUNCTION public.finish_rewrite(of_partition text) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog SET TimeZone = 'UTC' SET DateStyle = 'ISO'
    SET lock_timeout = '1s' AS $$
DECLARE
    parent text := regexp_replace(of_partition, '_\d+$', '');
    copy text := of_partition || '_sorted';
    was_changed boolean;
    bounds record;
BEGIN
    -- From the top down, as everybody who reads or writes a partitioned table.
    EXECUTE format('LOCK TABLE ONLY public.%I IN ACCESS EXCLUSIVE MODE', parent);
    EXECUTE format('LOCK TABLE public.%I IN ACCESS EXCLUSIVE MODE', of_partition);
    SELECT w.is_changed INTO was_changed FROM public.rollup_rewrites w
    WHERE w.partition = of_partition AND w.state = 'copying' FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP TRIGGER is_changed ON public.%I', of_partition);
    IF was_changed THEN
        EXECUTE format('DROP TABLE public.%I', copy);
        DELETE FROM public.rollup_rewrites WHERE partition = of_partition;
        RETURN false;
    END IF;
    SELECT * INTO bounds
    FROM public.partition_bounds(format('public.%I', parent)::regclass) b
    WHERE b.partition = of_partition;
    EXECUTE format('DROP TABLE public.%I', of_partition);
    EXECUTE format('ALTER TABLE public.%I RENAME TO %I', copy, of_partition);
    EXECUTE format(
        'ALTER TABLE public.%I ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
        parent, of_partition, bounds.first, bounds.ends);
    EXECUTE format('ALTER TABLE public.%I DROP CONSTRAINT month', of_partition);
    UPDATE public.rollup_rewrites SET state = 'done', rewritten_at = clock_timestamp()
    WHERE partition = of_partition;
    RETURN true;
END
$$;
COMMENT ON FUNCTION public.finish_rewrite(text) IS
    'Puts the copy in the month''s place; false: the month was changed, the copy is thrown away.';

-- Functions are everybody's unless it is said otherwise, and these are the owner's.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
