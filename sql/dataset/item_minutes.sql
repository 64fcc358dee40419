-- People's events that count, by item and minute, in microseconds since 1970; bots do not count.
SELECT
    s.item_index,
    unix_micros(s.timestamp) - unix_micros(s.timestamp) % 60000000 AS minute,
    count(*) AS events
FROM sequences AS s
JOIN users AS u ON s.user_index = u.user_index
WHERE u.bot = FALSE
GROUP BY s.item_index, unix_micros(s.timestamp) - unix_micros(s.timestamp) % 60000000
