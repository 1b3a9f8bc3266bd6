-- Damage to subscriptions.

-- name: revive
-- As an older backup would have it.
update billing_objects set
    snapshot = snapshot || '{"status": "active", "ended_at": null, "canceled_at": null}'::jsonb,
    digest = md5((snapshot || '{"status": "active", "ended_at": null, "canceled_at": null}'::jsonb)::text)
where kind = 'subscription' and object_id = %(subscription)s;
