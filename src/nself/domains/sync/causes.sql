-- Statements that show root causes of chapter 7.

-- name: stuck
-- Objects whose failed event is no passing trouble: it was tried again and again, or waits for long.
select distinct object_id
from billing_webhook_events
where
    object_id = any(%(ids)s::text[])
    and (status = 'failed_permanent' or status = 'failed' and (attempts > 2 or received_at < %(before)s));

-- name: note_run
-- Why it stands still; moving on forgets it.
update billing_sync_runs set error = %(error)s where id = %(id)s and fence = %(fence)s;
