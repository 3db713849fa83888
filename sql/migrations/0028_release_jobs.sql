-- Long work of a release: what takes longer than a deployment may. Files of sql/jobs say what it is,
-- a migration run registers them here, and maintenance does them in slices (ADR 33).

CREATE TABLE public.release_jobs (
    number integer PRIMARY KEY,
    name text NOT NULL,
    registered_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz,
    checksum text,
    position text,
    slice_rows bigint NOT NULL CHECK (slice_rows > 0),
    slices bigint NOT NULL DEFAULT 0,
    rows bigint NOT NULL DEFAULT 0,
    failures integer NOT NULL DEFAULT 0,
    error_code text,
    error text,
    next_try_at timestamptz,
    CHECK ((finished_at IS NULL) = (checksum IS NULL))
);
COMMENT ON TABLE public.release_jobs IS
    'Long work of a release, and how far it is. Whoever does a slice has the row locked.';
COMMENT ON COLUMN public.release_jobs.checksum IS
    'SHA-256 of the text that finished it; until then the text may still be corrected.';
COMMENT ON COLUMN public.release_jobs.position IS
    'Where the next slice begins, in words of the job''s own.';
COMMENT ON COLUMN public.release_jobs.failures IS 'In a row; 0 once a slice was done.';

-- It says nothing of any tenant.
GRANT SELECT ON public.release_jobs TO traksense_ops;

CREATE FUNCTION public.next_index_step(relation regclass, index_name text, definition text)
    RETURNS SETOF text
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $$
DECLARE
    home text;
    part record;
BEGIN
    SELECT n.nspname INTO STRICT home
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = relation;
    IF (SELECT c.relkind FROM pg_class c WHERE c.oid = relation) = 'p'
            AND to_regclass(format('%I.%I', home, index_name)) IS NULL THEN
        -- First, so that whoever makes a partition from now on makes this index with it.
        RETURN NEXT format('CREATE INDEX %I ON ONLY %s %s', index_name, relation, definition);
        RETURN;
    END IF;
    -- What has none yet: each partition, or a table that has no partitions.
    SELECT c.oid, x.indexrelid, x.indisvalid, own.name,
           c.oid::regclass AS within, c.oid <> relation AS is_partition
    INTO part
    FROM pg_class c
    CROSS JOIN LATERAL (
        SELECT CASE WHEN c.oid = relation THEN index_name
                    ELSE left(index_name, 50) || '_' || c.oid END AS name
    ) own
    LEFT JOIN pg_index x
        ON x.indrelid = c.oid AND x.indexrelid = to_regclass(format('%I.%I', home, own.name))
    WHERE c.relkind = 'r'
      AND (c.oid = relation
           OR c.oid IN (SELECT i.inhrelid FROM pg_inherits i WHERE i.inhparent = relation))
      AND NOT (c.oid = relation AND coalesce(x.indisvalid, false))
      AND NOT EXISTS (
          SELECT FROM pg_index y JOIN pg_inherits j ON j.inhrelid = y.indexrelid
          WHERE y.indrelid = c.oid
            AND j.inhparent = to_regclass(format('%I.%I', home, index_name)))
    ORDER BY c.relname
    LIMIT 1;
    IF NOT FOUND THEN
        RETURN;
    ELSIF part.indexrelid IS NULL THEN
        RETURN NEXT format('CREATE INDEX CONCURRENTLY %I ON %s %s',
                           part.name, part.within, definition);
    ELSIF NOT part.indisvalid THEN
        -- Somebody is still making it, such as a session whose runner was killed; or it is a ruin.
        RETURN NEXT CASE
            WHEN NOT EXISTS (
                SELECT FROM pg_locks l
                WHERE l.relation = part.oid AND l.pid <> pg_backend_pid() AND l.granted
                  AND l.mode = 'ShareUpdateExclusiveLock'
                  AND l.database = (SELECT d.oid FROM pg_database d
                                    WHERE d.datname = current_database()))
            THEN format('DROP INDEX CONCURRENTLY %I.%I', home, part.name) END;
    ELSIF part.is_partition THEN
        RETURN NEXT format('ALTER INDEX %I.%I ATTACH PARTITION %I.%I',
                           home, index_name, home, part.name);
    END IF;
END
$$;
COMMENT ON FUNCTION public.next_index_step(regclass, text, text) IS
    'For a job: the next statement towards an index of this name and definition, made while the '
    'table, or each of its partitions, is written to. No row: it is there. NULL: not now.';
