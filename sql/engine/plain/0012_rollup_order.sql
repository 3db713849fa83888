-- Rollups in order.
--
-- A refresh writes the buckets of all points minute by minute: a month of one point lies on as
-- many pages as it has buckets. A month that nothing late can reach any more is copied in the
-- order of (point_sk, bucket), while it is read. Once every running transaction began after that,
-- the copy takes its place in one short transaction. A change meanwhile shows by a trigger, and the
-- copy begins anew.

CREATE TABLE public.rollup_rewrites (
    partition text PRIMARY KEY,
    state text NOT NULL CHECK (state IN ('copying', 'done')),
    copied_pages bigint NOT NULL DEFAULT 0,
    is_changed boolean NOT NULL DEFAULT false,
    waits_for text[],
    rewritten_at timestamptz
);
COMMENT ON TABLE public.rollup_rewrites IS
    'Months of rollups that are, or are being, put in the order of (point_sk, bucket).';
COMMENT ON COLUMN public.rollup_rewrites.waits_for IS
    'Transactions that may not see the whole copy; NULL: it is not known which.';

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
    PERFORM pg_advisory_xact_lock(hashtextextended('traksense.rollup order', 0));
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
    UPDATE public.rollup_rewrites SET copied_pages = reached + most_pages, waits_for = NULL
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
    older text[];
    was_changed boolean;
    bounds record;
BEGIN
    SELECT w.waits_for INTO older FROM public.rollup_rewrites w
    WHERE w.partition = of_partition AND w.state = 'copying';
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    older := ARRAY(SELECT t FROM unnest(public.running_transactions()) AS t
                   WHERE older IS NULL OR t = ANY (older));
    IF cardinality(older) > 0 THEN
        UPDATE public.rollup_rewrites SET waits_for = older WHERE partition = of_partition;
        RETURN NULL;
    END IF;
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
    'Puts the copy in the month''s place. False: the month was changed, the copy is thrown away; '
    'NULL: not yet, because of transactions that began before the copy was whole.';
