-- The lists that these users had, row by row: what they met of it, and what a hit at that rank gains.
SELECT
    u.user_index,
    l.rank,
    l.source,
    coalesce(m.events, 0) AS events,
    CASE WHEN m.relevant THEN 1 ELSE 0 END AS hits,
    CASE WHEN m.relevant THEN g.gain ELSE CAST(0 AS BIGINT) END AS gain
FROM judged_lists AS l
JOIN users AS u ON l.user_id = u.user_id
JOIN gains AS g ON l.rank = g.rank
LEFT JOIN items AS i ON l.item_id = i.item_id
LEFT JOIN met_items AS m ON u.user_index = m.user_index AND i.item_index = m.item_index
WHERE u.user_index IN (SELECT user_index FROM met_items)
