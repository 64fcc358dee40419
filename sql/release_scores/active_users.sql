-- One row per user with an event since: events, relevant items, the source that leads the list (null
-- without a list), and the number of items of the history before.
SELECT
    m.user_index,
    CAST(sum(m.events) AS BIGINT) AS events,
    count(*) FILTER (WHERE m.relevant) AS relevant,
    max(l.source) AS model,
    coalesce(max(h.items), 0) AS history
FROM met_items AS m
LEFT JOIN (SELECT user_index, source FROM shown_rows WHERE rank = 1) AS l ON m.user_index = l.user_index
LEFT JOIN (
    SELECT user_index, count(DISTINCT item_index) AS items
    FROM sequences
    WHERE unix_micros(timestamp) < {{ since_micros }}
    GROUP BY user_index
) AS h ON m.user_index = h.user_index
GROUP BY m.user_index
