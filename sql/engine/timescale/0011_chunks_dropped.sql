-- Retention by dropping chunks.

CREATE FUNCTION public.drop_oldest(of_level text, up_to timestamptz) RETURNS text
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog SET TimeZone = 'UTC' SET DateStyle = 'ISO'
    -- The chunk must be ours alone for a moment. Readers and writers wait behind us for as long
    -- as we wait.
    SET lock_timeout = '1s' AS $$
DECLARE
    is_source boolean := of_level IN ('raw', '1m', '5m');
    oldest record;
    gone text[];
    counted bigint;
BEGIN
    -- One at a time: two would choose the same chunk.
    PERFORM pg_advisory_xact_lock(hashtextextended('traksense.retention', 0));
    -- Nothing is dropped under a refresh: it reads what it is about to make rollups of.
    IF is_source AND NOT pg_try_advisory_xact_lock(hashtextextended('traksense.rollups refresh', 0)) THEN
        RAISE EXCEPTION 'the rollups are being refreshed: the chunks of % stay', of_level
            USING ERRCODE = 'object_in_use';
    END IF;
    SELECT * INTO oldest FROM public.level_chunks(of_level) LIMIT 1;
    IF oldest.ends IS NULL OR oldest.ends > up_to THEN
        RETURN NULL;
    END IF;
    IF is_source AND oldest.ends > (SELECT min(s.refreshed) FROM public.rollup_state s) THEN
        RAISE EXCEPTION 'the rollups are not refreshed up to %: % stays', oldest.ends, oldest.chunk
            USING ERRCODE = 'object_in_use';
    END IF;
    IF oldest.is_compressed THEN
        -- What is in columns is counted batch by batch.
        EXECUTE format('SELECT count(*) FROM %s', oldest.chunk) INTO counted;
    ELSE
        SELECT greatest(reltuples, 0)::bigint INTO counted
        FROM pg_class WHERE oid = oldest.chunk;
    END IF;
    SELECT array_agg(d) INTO gone
    FROM public.drop_chunks(
        CASE WHEN of_level IN ('1m', '5m', '1h') THEN format('public.r_%s', of_level)::regclass
             ELSE public.level_table(of_level) END,
        older_than => oldest.ends) AS d;
    IF cardinality(gone) IS DISTINCT FROM 1 THEN
        RAISE EXCEPTION 'instead of % this would drop %', oldest.chunk, gone;
    END IF;
    INSERT INTO public.purges (level, up_to, partitions, rows)
    VALUES (of_level, oldest.ends, 1, counted);
    RETURN gone[1];
END
$$;
COMMENT ON FUNCTION public.drop_oldest(text, timestamptz) IS
    'Drops the oldest chunk of a level if it ends no later than this; its name, or NULL. What the '
    'rollups have not read is never dropped.';
