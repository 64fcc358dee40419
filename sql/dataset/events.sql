-- The interactions that a date knows, with their strength in millionths. Strengths are integers, so
-- sums do not depend on the order of the rows. Events before the window to learn from are not recent:
-- their strength is 0, so they only make users known and items seen. An event bars its item from the
-- user's lists while a repeat is not welcome.
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
    {{ "unix_micros(i.timestamp) >= " ~ since_micros if since_micros else "TRUE" }} AS recent,
    {{ "unix_micros(i.timestamp) >= " ~ barred_since_micros if barred_since_micros else "TRUE" }} AS bars,
    CASE
{% if since_micros %}
        WHEN unix_micros(i.timestamp) < {{ since_micros }} THEN CAST(0 AS BIGINT)
{% endif %}
        -- the decay is in millionths too, as engines differ in the last bit of a power; the
        -- strength is at most 1e9, so sums fit 64 bits
        WHEN {{ positive or "TRUE" }} THEN CAST(round(least(1e15,
            least(coalesce(i.weight, 1), 1e9)
{% if event_weights %}
            * w.strength
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
-- events ingested when other types were listed are left out
JOIN event_weights AS w ON i.event_type = w.event_type
{% endif %}
WHERE unix_micros(i.timestamp) < {{ until_micros }}
{% if forgotten %}
    AND i.user_id NOT IN (SELECT user_id FROM forgotten_users)
{% endif %}
{% if replaced %}
    AND i.file_id NOT IN ({{ replaced | join(", ") }})
{% endif %}
