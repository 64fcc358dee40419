-- One row per user and item with an event: number of events and of recent ones, strength, first and
-- last timestamp, and whether the item must not be recommended to the user again.
SELECT
    user_id,
    item_id,
    count(*) AS events,
    count(*) FILTER (WHERE recent) AS recent_events,
    CAST(sum(strength) AS BIGINT) AS strength,
    min(timestamp) AS first_timestamp,
    max(timestamp) AS last_timestamp,
    bool_or(bars) AS barred
FROM events
GROUP BY user_id, item_id
