-- One row per user and item with an event: number of events, strength, first and last timestamp.
SELECT
    user_id,
    item_id,
    count(*) AS events,
    CAST(sum(strength) AS BIGINT) AS strength,
    min(timestamp) AS first_timestamp,
    max(timestamp) AS last_timestamp
FROM events
GROUP BY user_id, item_id
