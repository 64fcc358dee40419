-- One row per item that anyone has met, with its title where one is known. Not trained on: items that
-- count for too few of the users who are trained on.
SELECT
    p.item_id,
    max(t.title) AS title,
    CAST(sum(p.events) AS BIGINT) AS events,
    count(*) AS users,
    max(p.last_timestamp) AS last_timestamp,
    count(*) FILTER (WHERE p.strength > 0 AND u.trained) >= {{ min_item_users }} AS trained,
    -- what only bots have met is nothing to recommend
    coalesce(bool_and(t.available), TRUE) AND bool_or(NOT u.bot)
        AND p.item_id NOT IN (SELECT item_id FROM blocked_items) AS available
FROM pairs AS p
JOIN user_totals AS u ON p.user_id = u.user_id
LEFT JOIN item_titles AS t ON p.item_id = t.item_id
GROUP BY p.item_id
