-- The interactions that a date may use, each with its strength in millionths: a whole number, so that
-- sums do not depend on the order in which they are made.
SELECT
    i.user_id,
    i.item_id,
    i.timestamp,
    i.event_date,
    i.event_type,
    i.value,
    i.weight,
    i.session_id,
    i.position,
{% for name in attributes %}
    i.{{ name }},
{% endfor %}
    i.file_id,
    i.line,
    CASE
        -- the decay in millionths, too: engines differ in the last bit of a power; and at most a thousand
        -- million, so that no sum leaves 64 bits
        WHEN {{ positive or "TRUE" }} THEN CAST(round(least(1e15,
            least(coalesce(i.weight, 1), 1e9)
{% if event_weights %}
            * coalesce(w.strength, 1)
{% endif %}
{% if half_life_micros %}
            * round(1e6 * power(0.5, ({{ until_micros }} - unix_micros(i.timestamp)) / {{ half_life_micros }}))
{% else %}
            * 1e6
{% endif %}
        )) AS BIGINT)
        ELSE CAST(0 AS BIGINT)
    END AS strength
FROM interactions AS i
{% if event_weights %}
LEFT JOIN event_weights AS w ON i.event_type = w.event_type
{% endif %}
WHERE unix_micros(i.timestamp) < {{ until_micros }}
{% if since_micros %}
    AND unix_micros(i.timestamp) >= {{ since_micros }}
{% endif %}
{% if forgotten %}
    AND i.user_id NOT IN (SELECT user_id FROM forgotten_users)
{% endif %}
{% if replaced %}
    AND i.file_id NOT IN ({{ replaced | join(", ") }})
{% endif %}
