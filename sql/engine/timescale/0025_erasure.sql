-- Erasing telemetry: all that is stored of some points or devices, rows and columns alike.
--
-- Each call is one transaction over one day, or over the rollups, and some points: a kill loses
-- one of them, and calling again finds what is left.

CREATE FUNCTION public.telemetry_days() RETURNS SETOF date
    LANGUAGE sql STABLE SET search_path = pg_catalog SET TimeZone = 'UTC' AS $$
    SELECT k.first::date FROM public.level_chunks('raw') k
    UNION
    SELECT k.first::date FROM public.level_chunks('messages') k
    ORDER BY 1
$$;
COMMENT ON FUNCTION public.telemetry_days() IS
    'UTC days of which readings or messages may be stored, oldest first.';

CREATE FUNCTION public.erase_readings(
    of_day date, points integer[], OUT readings bigint, OUT segments bigint
)
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog SET TimeZone = 'UTC' AS $$
BEGIN
    segments := 0;
    PERFORM set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', true);
    -- Counted first: batches that go whole out of a compressed chunk are in no row count.
    SELECT count(*) INTO readings FROM public.m_raw m
    WHERE m.ts >= of_day::timestamp AT TIME ZONE 'UTC'
      AND m.ts < (of_day + 1)::timestamp AT TIME ZONE 'UTC' AND m.point_sk = ANY (points);
    DELETE FROM public.m_raw m
    WHERE m.ts >= of_day::timestamp AT TIME ZONE 'UTC'
      AND m.ts < (of_day + 1)::timestamp AT TIME ZONE 'UTC' AND m.point_sk = ANY (points);
END
$$;
COMMENT ON FUNCTION public.erase_readings(date, integer[]) IS
    'Deletes a UTC day''s readings of some points; how many. No segments on this engine.';

CREATE FUNCTION public.erase_rollups(points integer[]) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog AS $$
DECLARE
    of_level text;
    counted bigint;
    gone bigint := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('traksense.rollups refresh', 0));
    PERFORM set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', true);
    FOREACH of_level IN ARRAY ARRAY['1m', '5m', '1h'] LOOP
        EXECUTE format('SELECT count(*) FROM %s WHERE point_sk = ANY ($1)',
                       public.level_table(of_level)) INTO counted USING points;
        EXECUTE format('DELETE FROM %s WHERE point_sk = ANY ($1)', public.level_table(of_level))
            USING points;
        gone := gone + counted;
    END LOOP;
    RETURN gone;
END
$$;
COMMENT ON FUNCTION public.erase_rollups(integer[]) IS
    'Deletes the rollups of some points, all levels; how many buckets. After their readings.';

CREATE FUNCTION public.erase_messages(of_day date, devices uuid[]) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog SET TimeZone = 'UTC' AS $$
DECLARE
    gone bigint;
BEGIN
    PERFORM set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', true);
    SELECT count(*) INTO gone FROM public.m_message m
    WHERE m.received_at >= of_day::timestamp AT TIME ZONE 'UTC'
      AND m.received_at < (of_day + 1)::timestamp AT TIME ZONE 'UTC' AND m.device_id = ANY (devices);
    DELETE FROM public.m_message m
    WHERE m.received_at >= of_day::timestamp AT TIME ZONE 'UTC'
      AND m.received_at < (of_day + 1)::timestamp AT TIME ZONE 'UTC' AND m.device_id = ANY (devices);
    RETURN gone;
END
$$;
COMMENT ON FUNCTION public.erase_messages(date, uuid[]) IS
    'Deletes a UTC day''s kept messages of some devices; how many.';
