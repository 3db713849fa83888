-- Retention by dropping partitions.

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
                                                         WHEN 'messages' THEN 'm_message'
                                                         ELSE 'r_' || of_level END)::regclass;
    oldest record;
    of_day date;
    estimate bigint;
    counted bigint;
BEGIN
    -- One at a time: two would choose the same partition.
    PERFORM pg_advisory_xact_lock(hashtextextended('traksense.retention', 0));
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
