-- The events that count, as indices. Sorted by user_index, timestamp, position, file_id, line
-- and item_index, they are in time order within each user; this is a total order even for equal
-- timestamps, and for several items of one line.
-- Popularity is computed from the strength.
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
