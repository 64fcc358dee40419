-- The events that count, as indices; in order of time within each user once it is sorted by
-- user_index, timestamp, position, file_id, line: a total order, so equal timestamps keep one order.
-- Their strength is what popularity is made of.
SELECT
    u.user_index,
    i.item_index,
    e.timestamp,
    coalesce(e.position, CAST(0 AS BIGINT)) AS position,
    e.file_id,
    e.line,
    e.strength
FROM events AS e
JOIN users AS u ON e.user_id = u.user_id
JOIN items AS i ON e.item_id = i.item_id
WHERE e.strength > 0
