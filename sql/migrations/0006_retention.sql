-- How long what is kept: a tenant's own shorter times, dead letters, and what was deleted.

-- Functions are everybody's unless it is said otherwise; from here on none is.
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

ALTER TABLE public.tenants
    ADD COLUMN raw_retention_days integer CHECK (raw_retention_days > 0),
    ADD COLUMN retention_1m_days integer CHECK (retention_1m_days > 0),
    ADD COLUMN retention_5m_days integer CHECK (retention_5m_days > 0),
    ADD COLUMN retention_1h_days integer CHECK (retention_1h_days > 0);
COMMENT ON COLUMN public.tenants.raw_retention_days IS
    'Shorter than the platform keeps them: older readings are hidden, and go with the others.';

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
