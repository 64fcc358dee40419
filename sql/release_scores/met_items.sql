-- What users met since the judged release: one row per user and item with an event that counts, bots
-- left out. A pair is relevant if the user met the item for the first time, or if a repeat was welcome:
-- no event that counts was too recent.
SELECT
    s.user_index,
    s.item_index,
    count(*) FILTER (WHERE unix_micros(s.timestamp) >= {{ since_micros }}) AS events,
{% if repeats %}
    TRUE AS relevant
{% else %}
    bool_and(unix_micros(p.first_timestamp) >= {{ since_micros }})
{% if barred_since_micros %}
        OR coalesce(max(unix_micros(s.timestamp)) FILTER (WHERE unix_micros(s.timestamp) < {{ since_micros }}), 0)
            < {{ barred_since_micros }}
{% endif %}
        AS relevant
{% endif %}
FROM sequences AS s
JOIN users AS u ON s.user_index = u.user_index
JOIN items AS i ON s.item_index = i.item_index
JOIN pairs AS p ON u.user_id = p.user_id AND i.item_id = p.item_id
WHERE u.bot = FALSE
{% if not barred_since_micros %}
    AND unix_micros(s.timestamp) >= {{ since_micros }}
{% endif %}
GROUP BY s.user_index, s.item_index
HAVING count(*) FILTER (WHERE unix_micros(s.timestamp) >= {{ since_micros }}) > 0
