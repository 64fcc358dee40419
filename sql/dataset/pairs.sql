-- One row per user and item that ever met: how often, how strongly, when last.
SELECT
    user_id,
    item_id,
    count(*) AS events,
    CAST(sum(strength) AS BIGINT) AS strength,
    max(timestamp) AS last_timestamp
FROM events
GROUP BY user_id, item_id
