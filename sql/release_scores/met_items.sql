-- What users met since the judged release: one row per user and item with an event that counts, bots
-- left out. A pair is relevant if the user met the item for the first time, or if lists may repeat.
SELECT
    s.user_index,
    s.item_index,
    count(*) AS events,
{% if repeats %}
    TRUE AS relevant
{% else %}
    bool_and(unix_micros(p.first_timestamp) >= {{ since_micros }}) AS relevant
{% endif %}
FROM sequences AS s
JOIN users AS u ON s.user_index = u.user_index
JOIN items AS i ON s.item_index = i.item_index
JOIN pairs AS p ON u.user_id = p.user_id AND i.item_id = p.item_id
WHERE unix_micros(s.timestamp) >= {{ since_micros }} AND u.bot = FALSE
GROUP BY s.user_index, s.item_index
