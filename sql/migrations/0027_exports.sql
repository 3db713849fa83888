-- Exports: what was asked for and what became of it, the work of each, and the mailed links.

CREATE TABLE public.exports (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id uuid NOT NULL REFERENCES public.tenants,
    requested_by text NOT NULL,
    email text NOT NULL,
    locale text NOT NULL CHECK (locale IN ('pt-BR', 'en')),
    device_id uuid,
    device_name text,
    point_ids uuid[] CHECK (cardinality(point_ids) > 0),
    point_names text[],
    range_from timestamptz NOT NULL,
    range_to timestamptz NOT NULL CHECK (range_to > range_from),
    agg text NOT NULL CHECK (agg IN ('raw', '1m', '5m', '1h')),
    format text NOT NULL CHECK (format IN ('csv', 'csv.gz', 'parquet')),
    for_spreadsheet boolean NOT NULL DEFAULT false CHECK (NOT for_spreadsheet OR format <> 'parquet'),
    time_zone text NOT NULL,
    status text NOT NULL DEFAULT 'PENDING' CHECK (
        status IN ('PENDING', 'PROCESSING', 'COMPLETED', 'FAILED', 'CANCELLED', 'EXPIRED')),
    attempt integer NOT NULL DEFAULT 1 CHECK (attempt BETWEEN 1 AND 100),
    planned_rows bigint,
    record_count bigint,
    file_size bigint,
    file_key text,
    file_name text,
    sha256 bytea CHECK (length(sha256) = 32),
    crc32 bigint CHECK (crc32 BETWEEN 0 AND 4294967295),
    error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz,
    expires_at timestamptz,
    notified_at timestamptz,
    files_removed_at timestamptz,
    idempotency_key text CHECK (length(idempotency_key) BETWEEN 1 AND 255),
    request_hash bytea CHECK (length(request_hash) = 32),
    UNIQUE (tenant_id, id),
    UNIQUE (tenant_id, idempotency_key),
    CHECK ((idempotency_key IS NULL) = (request_hash IS NULL)),
    CHECK ((point_ids IS NULL) = (point_names IS NULL)),
    CHECK ((status IN ('PENDING', 'PROCESSING')) = (finished_at IS NULL)),
    CHECK (status <> 'COMPLETED' OR (record_count IS NOT NULL AND file_size IS NOT NULL
                                     AND file_key IS NOT NULL AND expires_at IS NOT NULL)),
    CHECK (status <> 'FAILED' OR error IS NOT NULL)
);
COMMENT ON TABLE public.exports IS 'An export: what was asked for, and what became of it.';
COMMENT ON COLUMN public.exports.requested_by IS 'The sub of who asked for it.';
COMMENT ON COLUMN public.exports.device_id IS 'NULL: every device of the tenant.';
COMMENT ON COLUMN public.exports.device_name IS 'Its name when the export was asked for.';
COMMENT ON COLUMN public.exports.point_ids IS 'NULL: every point of those devices.';
COMMENT ON COLUMN public.exports.point_names IS 'Of point_ids, in their order, when it was asked for.';
COMMENT ON COLUMN public.exports.range_to IS 'Exclusive.';
COMMENT ON COLUMN public.exports.for_spreadsheet IS
    'CSV as the spreadsheet program of that language reads it, rather than RFC 4180.';
COMMENT ON COLUMN public.exports.time_zone IS 'The tenant''s when it was asked for.';
COMMENT ON COLUMN public.exports.attempt IS
    'Counts the executions of the state machine; what an earlier one still does changes nothing.';
COMMENT ON COLUMN public.exports.planned_rows IS 'An estimate from the rollups'' counts.';
COMMENT ON COLUMN public.exports.error IS 'A code, which the catalogues have words for.';
COMMENT ON COLUMN public.exports.notified_at IS 'When the e-mail of its end was taken for delivery.';
COMMENT ON COLUMN public.exports.files_removed_at IS
    'When all that lay in the bucket of it was seen to be gone.';
CREATE INDEX exports_newest_idx ON public.exports (tenant_id, created_at DESC, id DESC);
CREATE INDEX exports_all_newest_idx ON public.exports (created_at DESC, id DESC);
CREATE INDEX exports_alive_idx ON public.exports (tenant_id)
    WHERE status IN ('PENDING', 'PROCESSING');
CREATE INDEX exports_unsettled_idx ON public.exports (status) WHERE files_removed_at IS NULL;

CREATE TABLE public.export_chunks (
    tenant_id uuid NOT NULL,
    export_id uuid NOT NULL,
    number integer NOT NULL CHECK (number >= 0),
    attempt integer NOT NULL,
    point_ids uuid[] NOT NULL,
    starts timestamptz[] NOT NULL,
    ends timestamptz[] NOT NULL,
    planned_rows bigint NOT NULL,
    rows_so_far bigint NOT NULL DEFAULT 0,
    row_count bigint,
    byte_count bigint,
    sha256 bytea CHECK (length(sha256) = 32),
    crc32 bigint CHECK (crc32 BETWEEN 0 AND 4294967295),
    staging_key text,
    done_at timestamptz,
    PRIMARY KEY (export_id, number),
    FOREIGN KEY (tenant_id, export_id) REFERENCES public.exports (tenant_id, id) ON DELETE CASCADE,
    CHECK (cardinality(starts) = cardinality(point_ids)),
    CHECK (cardinality(ends) = cardinality(point_ids)),
    CHECK (done_at IS NULL OR (row_count IS NOT NULL AND byte_count IS NOT NULL
                               AND sha256 IS NOT NULL AND staging_key IS NOT NULL))
);
COMMENT ON TABLE public.export_chunks IS
    'A part of an export: these points in this order, each between two instants. All chunks in the '
    'order of their numbers are the file.';
COMMENT ON COLUMN public.export_chunks.attempt IS 'Of the export: whose plan this is.';
COMMENT ON COLUMN public.export_chunks.ends IS 'Exclusive.';
COMMENT ON COLUMN public.export_chunks.rows_so_far IS 'Of the attempt that is running, for progress.';
COMMENT ON COLUMN public.export_chunks.staging_key IS
    'The object of the attempt that was done first; each attempt writes one of its own.';

CREATE TABLE public.export_links (
    token_hash bytea PRIMARY KEY CHECK (length(token_hash) = 32),
    tenant_id uuid NOT NULL,
    export_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    FOREIGN KEY (tenant_id, export_id) REFERENCES public.exports (tenant_id, id) ON DELETE CASCADE
);
COMMENT ON TABLE public.export_links IS
    'A link that was mailed, by the SHA-256 of its token. It opens what its export says: nothing '
    'once that is cancelled or expired.';
CREATE INDEX export_links_export_idx ON public.export_links (export_id);

DO $$
DECLARE
    relation text;
BEGIN
    FOREACH relation IN ARRAY ARRAY['exports', 'export_chunks', 'export_links'] LOOP
        EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', relation);
        EXECUTE format('ALTER TABLE public.%I FORCE ROW LEVEL SECURITY', relation);
        EXECUTE format(
            'CREATE POLICY owner_all ON public.%I TO traksense_owner USING (true) WITH CHECK (true)',
            relation);
        EXECUTE format(
            'CREATE POLICY tenant_own ON public.%I TO traksense_app '
            'USING (tenant_id = public.current_tenant_id()) '
            'WITH CHECK (tenant_id = public.current_tenant_id())', relation);
    END LOOP;
END
$$;
CREATE POLICY tenant_read ON public.exports FOR SELECT TO traksense_readonly
    USING (tenant_id = public.current_tenant_id());
CREATE POLICY ops_all ON public.exports FOR SELECT TO traksense_ops USING (true);
CREATE POLICY ops_all ON public.export_chunks FOR SELECT TO traksense_ops USING (true);

-- What was asked for never changes; what becomes of it does.
GRANT SELECT, INSERT,
    UPDATE (status, planned_rows, record_count, file_size, file_key, file_name, sha256, crc32,
            error, started_at, finished_at, expires_at, notified_at, files_removed_at)
    ON public.exports TO traksense_app;
GRANT SELECT, INSERT, DELETE,
    UPDATE (rows_so_far, row_count, byte_count, sha256, crc32, staging_key, done_at)
    ON public.export_chunks TO traksense_app;
GRANT SELECT, INSERT ON public.export_links TO traksense_app;
GRANT SELECT ON public.exports TO traksense_readonly;
GRANT SELECT ON public.exports, public.export_chunks TO traksense_ops;

CREATE FUNCTION public.find_export_link(digest bytea, OUT tenant_id uuid, OUT export_id uuid,
                                        OUT expires_at timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT l.tenant_id, l.export_id, l.expires_at
    FROM public.export_links l WHERE l.token_hash = digest
$$;
COMMENT ON FUNCTION public.find_export_link(bytea) IS
    'Whose export the link of this digest opens, for who has nothing but the link; NULLs: none.';
GRANT EXECUTE ON FUNCTION public.find_export_link(bytea) TO traksense_app;
