-- Erasing telemetry: all that is stored of some points or devices, wherever it lies.
--
-- Each call is one transaction over one day, or over the rollups, and some points: a kill loses
-- one of them, and calling again finds what is left.

CREATE FUNCTION public.telemetry_days() RETURNS SETOF date
    LANGUAGE sql STABLE SET search_path = pg_catalog SET TimeZone = 'UTC' AS $$
    SELECT b.first::date FROM public.partition_bounds('public.m_raw') b
    UNION
    SELECT b.first::date FROM public.partition_bounds('public.m_message') b
    ORDER BY 1
$$;
COMMENT ON FUNCTION public.telemetry_days() IS
    'UTC days of which readings or messages may be stored, oldest first.';

CREATE FUNCTION public.erase_readings(
    of_day date, points integer[], OUT readings bigint, OUT segments bigint
)
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog SET DateStyle = 'ISO' AS $$
DECLARE
    name text := to_char(of_day, 'YYYYMMDD');
    day_state text;
    gone record;
BEGIN
    readings := 0;
    segments := 0;
    -- The day keeps its form meanwhile: no slice is built of, no late row joins, what goes.
    PERFORM public.lock_day(of_day, false);
    SELECT d.state INTO day_state FROM public.closed_days d WHERE d.day = of_day FOR UPDATE;
    IF to_regclass('public.m_raw_' || name) IS NOT NULL THEN
        EXECUTE format('DELETE FROM public.m_raw_%s WHERE point_sk = ANY ($1)', name) USING points;
        GET DIAGNOSTICS readings = ROW_COUNT;
    END IF;
    IF day_state IS NULL THEN
        RETURN;
    END IF;
    DELETE FROM public.closing_points c WHERE c.day = of_day AND c.point_sk = ANY (points);
    EXECUTE format(
        'WITH gone AS (DELETE FROM public.m_segment_%s WHERE point_sk = ANY ($1) RETURNING n) '
        'SELECT count(*) AS segments, coalesce(sum(n), 0)::bigint AS readings FROM gone', name)
        INTO gone USING points;
    segments := gone.segments;
    -- While a day is being closed its segments are copies of rows that were counted just now.
    IF day_state = 'closed' THEN
        readings := readings + gone.readings;
    END IF;
    UPDATE public.closed_days d
    SET readings = d.readings - gone.readings, segments = d.segments - gone.segments
    WHERE d.day = of_day;
END
$$;
COMMENT ON FUNCTION public.erase_readings(date, integer[]) IS
    'Deletes a UTC day''s readings of some points, rows and segments alike; how many readings, and '
    'how many segments they were in.';

CREATE FUNCTION public.erase_rollups(points integer[]) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog AS $$
DECLARE
    rollup text;
    deleted bigint;
    gone bigint := 0;
BEGIN
    -- A refresh that read the readings before they went would write their buckets after us.
    PERFORM pg_advisory_xact_lock(hashtextextended('traksense.rollups refresh', 0));
    DELETE FROM public.rollup_dirty d WHERE d.point_sk = ANY (points);
    FOREACH rollup IN ARRAY ARRAY['r_1m', 'r_5m', 'r_1h'] LOOP
        EXECUTE format('DELETE FROM public.%I WHERE point_sk = ANY ($1)', rollup) USING points;
        GET DIAGNOSTICS deleted = ROW_COUNT;
        gone := gone + deleted;
    END LOOP;
    RETURN gone;
END
$$;
COMMENT ON FUNCTION public.erase_rollups(integer[]) IS
    'Deletes the rollups of some points, all levels; how many buckets. After their readings.';

CREATE FUNCTION public.erase_messages(of_day date, devices uuid[]) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog SET DateStyle = 'ISO' AS $$
DECLARE
    partition text := 'm_message_' || to_char(of_day, 'YYYYMMDD');
    gone bigint;
BEGIN
    IF to_regclass('public.' || partition) IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM public.lock_messages(of_day, true);
    EXECUTE format(
        'WITH gone AS (DELETE FROM public.%I WHERE device_id = ANY ($1)'
        ' RETURNING coalesce(cardinality(packed_at), 1) AS n) '
        'SELECT coalesce(sum(n), 0)::bigint FROM gone', partition)
        INTO gone USING devices;
    RETURN gone;
END
$$;
COMMENT ON FUNCTION public.erase_messages(date, uuid[]) IS
    'Deletes a UTC day''s kept messages of some devices, packed or not; how many.';
