-- One row per known user. Users with too few items that count are not trained on, nor are bots:
-- users with more recent events than a person can cause.
SELECT
    user_id,
    CAST(sum(events) AS BIGINT) AS events,
    count(*) AS items,
    max(last_timestamp) AS last_timestamp,
    sum(recent_events) > {{ max_user_events }} AS bot,
    count(*) FILTER (WHERE strength > 0) >= {{ min_user_items }}
        AND sum(recent_events) <= {{ max_user_events }} AS trained
FROM pairs
GROUP BY user_id
