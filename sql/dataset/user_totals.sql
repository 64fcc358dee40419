-- One row per known user. Not trained on: who has too few items that count, and who has so many events
-- that no person can be behind them.
SELECT
    user_id,
    CAST(sum(events) AS BIGINT) AS events,
    count(*) AS items,
    max(last_timestamp) AS last_timestamp,
    sum(events) > {{ max_user_events }} AS bot,
    count(*) FILTER (WHERE strength > 0) >= {{ min_user_items }}
        AND sum(events) <= {{ max_user_events }} AS trained
FROM pairs
GROUP BY user_id
