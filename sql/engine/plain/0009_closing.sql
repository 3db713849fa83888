-- Closing days: rows become segments, and late readings find their way into them.
--
--   begin_closing   inserts past this function are refused, late readings are noted (closing_points)
--   build_slice     segments into a table of their own, some points at a time, again and again
--   catch_up        those of the points that were noted meanwhile, once more
--   finish_closing  the rest of these; once every transaction sees all segments, the table
--                   becomes a partition and the rows go
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

-- TRUNCATE and a change of partitions are for everybody at once, also for a transaction of
-- REPEATABLE READ whose snapshot is from before. What takes the place of rows must be in every
-- snapshot by then: so it is committed first, and the change waits for whoever was at work.
CREATE FUNCTION public.running_transactions() RETURNS text[]
    LANGUAGE sql VOLATILE SET search_path = pg_catalog
    RETURN (
        SELECT coalesce(array_agg(l.virtualxid || ' of ' || l.pid), '{}')
        FROM pg_locks l
        JOIN pg_stat_activity a ON a.pid = l.pid
        WHERE l.locktype = 'virtualxid' AND l.virtualxid = l.virtualtransaction
          AND l.pid <> pg_backend_pid()
          AND a.datid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
          -- The server's own, such as autovacuum, read nothing.
          AND a.usesysid IS NOT NULL
    );
COMMENT ON FUNCTION public.running_transactions() IS
    'The other transactions in this database. Once those of a list are gone, every snapshot is of '
    'later than the list.';

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
    SET built_to = (SELECT max(p) FROM unnest(points) AS p), waits_for = NULL,
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
    SET waits_for = NULL, readings = readings + built.readings - gone.readings,
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
    older text[];
BEGIN
    PERFORM public.lock_day(of_day, false);
    -- The day's own row before its table: the order of build_slice, which has committed what it
    -- built when we have the row.
    SELECT waits_for INTO older FROM public.closed_days
    WHERE day = of_day AND state = 'closing' FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF public.build_again(of_day, 1000) > 0 THEN
        RETURN false;
    END IF;
    older := ARRAY(SELECT t FROM unnest(public.running_transactions()) AS t
                   WHERE older IS NULL OR t = ANY (older));
    IF cardinality(older) > 0 THEN
        UPDATE public.closed_days SET waits_for = older WHERE day = of_day;
        RETURN false;
    END IF;
    EXECUTE format('LOCK TABLE public.m_raw_%s IN ACCESS EXCLUSIVE MODE', name);
    EXECUTE format(
        'ALTER TABLE public.m_segment ATTACH PARTITION public.m_segment_%s '
        'FOR VALUES FROM (%L) TO (%L)',
        name, public.utc_midnight(of_day), public.utc_midnight(of_day + 1));
    EXECUTE format('ALTER TABLE public.m_segment_%s DROP CONSTRAINT day', name);
    EXECUTE format('TRUNCATE public.m_raw_%s', name);
    UPDATE public.closed_days SET state = 'closed', closed_at = clock_timestamp(), waits_for = NULL
    WHERE day = of_day;
    RETURN true;
END
$$;
COMMENT ON FUNCTION public.finish_closing(date) IS
    'Switches a day, all of whose slices are built, from rows to segments. False: not yet, because '
    'of points that were built again, or of transactions that began before the last was built.';

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
