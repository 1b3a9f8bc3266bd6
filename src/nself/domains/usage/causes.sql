-- Statements that show root causes: each looks at what is newest, so that it stays fast however much there is.

-- name: rejected_lately
-- Of the newest that were rejected, those of some reasons. `%(most)s` bounds what is read.
select code, event, message, source, rejected_at
from billing_usage_rejected
where
    id > (select coalesce(max(id), 0) - %(most)s from billing_usage_rejected)
    and rejected_at >= %(since)s and (%(codes)s::text[] is null or code = any(%(codes)s::text[]))
order by id desc;
