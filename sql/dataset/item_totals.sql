-- One row per item with an event, with its title if known. Items that count for too few trained
-- users are not trained on.
SELECT
    p.item_id,
    max(t.title) AS title,
    CAST(sum(p.events) AS BIGINT) AS events,
    count(*) AS users,
    max(p.last_timestamp) AS last_timestamp,
    count(*) FILTER (WHERE p.strength > 0 AND u.trained) >= {{ min_item_users }} AS trained,
    -- items that only bots met are not recommended
    coalesce(bool_and(t.available), {{ 'FALSE' if only else 'TRUE' }}) AND bool_or(NOT u.bot)
        AND p.item_id NOT IN (SELECT id FROM blocked_items) AS available
FROM pairs AS p
JOIN user_totals AS u ON p.user_id = u.user_id
LEFT JOIN item_titles AS t ON p.item_id = t.item_id
GROUP BY p.item_id
