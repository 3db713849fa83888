-- Exports whose e-mail was refused for good: that is an end of it as well.

ALTER TABLE public.exports
    ADD COLUMN mail_refused_at timestamptz,
    ADD CHECK (notified_at IS NULL OR mail_refused_at IS NULL);
COMMENT ON COLUMN public.exports.mail_refused_at IS
    'When the e-mail of its end was refused for good: its address takes none.';
GRANT UPDATE (mail_refused_at) ON public.exports TO traksense_app;
