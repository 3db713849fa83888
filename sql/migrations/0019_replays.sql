-- Dead letters that were put through again.

ALTER TABLE public.ingest_errors
    ADD COLUMN replayed_at timestamptz,
    ADD COLUMN replays integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN public.ingest_errors.replayed_at IS
    'When its bytes were last published again. A later last_received_at: they were refused again.';
GRANT UPDATE (replayed_at, replays) ON public.ingest_errors TO traksense_ops;
