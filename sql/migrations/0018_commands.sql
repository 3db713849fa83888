-- Commands to devices, and what became of each.

CREATE TABLE public.commands (
    cmd_id text PRIMARY KEY CHECK (cmd_id ~ '^[0-7][0-9A-HJKMNP-TV-Z]{25}$'),
    tenant_id uuid NOT NULL,
    device_id uuid NOT NULL,
    op text NOT NULL CHECK (op <> '' AND length(op) <= 64),
    params jsonb NOT NULL DEFAULT '{}',
    sent_by text NOT NULL,
    status text NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'acked', 'error', 'timeout')),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL CHECK (expires_at > created_at),
    times_out_at timestamptz NOT NULL CHECK (times_out_at >= expires_at),
    published_at timestamptz,
    acked_at timestamptz,
    ok boolean,
    ts_exec timestamptz,
    err text,
    idempotency_key text CHECK (length(idempotency_key) BETWEEN 1 AND 255),
    request_hash bytea CHECK (length(request_hash) = 32),
    UNIQUE (tenant_id, idempotency_key),
    CHECK ((idempotency_key IS NULL) = (request_hash IS NULL)),
    CHECK ((acked_at IS NULL) = (ok IS NULL)),
    FOREIGN KEY (tenant_id, device_id) REFERENCES public.devices (tenant_id, id) ON DELETE CASCADE
);
COMMENT ON COLUMN public.commands.cmd_id IS 'A ULID: its order is that of creation.';
COMMENT ON COLUMN public.commands.expires_at IS 'The device begins it before this or never.';
COMMENT ON COLUMN public.commands.times_out_at IS
    'Until when an ack decides the status: later than expires_at by a pulse and a message''s way.';
COMMENT ON COLUMN public.commands.published_at IS
    'When the broker had it; NULL: not known to have it, and a retry publishes it.';
COMMENT ON COLUMN public.commands.acked_at IS
    'Arrival of the first ack, also of one that was too late to change the status.';
COMMENT ON COLUMN public.commands.ts_exec IS 'The device''s own word for when it did it.';
CREATE INDEX commands_device_idx ON public.commands (device_id, cmd_id DESC);
CREATE INDEX commands_pending_idx ON public.commands (times_out_at) WHERE status = 'pending';

ALTER TABLE public.commands ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.commands FORCE ROW LEVEL SECURITY;
CREATE POLICY owner_all ON public.commands TO traksense_owner USING (true) WITH CHECK (true);
CREATE POLICY tenant_own ON public.commands TO traksense_app
    USING (tenant_id = public.current_tenant_id())
    WITH CHECK (tenant_id = public.current_tenant_id());
CREATE POLICY tenant_read ON public.commands FOR SELECT TO traksense_readonly
    USING (tenant_id = public.current_tenant_id());
CREATE POLICY ingest_ack ON public.commands FOR UPDATE TO traksense_ingest USING (true);
CREATE POLICY ingest_seen ON public.commands FOR SELECT TO traksense_ingest USING (true);

-- What was sent is never changed: the application notes that it was published, ingestion what the
-- device said.
GRANT SELECT, INSERT, UPDATE (published_at) ON public.commands TO traksense_app;
GRANT SELECT ON public.commands TO traksense_readonly;
GRANT SELECT (cmd_id, device_id, status, times_out_at, acked_at),
      UPDATE (status, acked_at, ok, ts_exec, err) ON public.commands TO traksense_ingest;
