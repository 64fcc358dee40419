-- One row per user and item with an event in the longest window: the strength in each window.
SELECT
    user_index,
    item_index,
{% for window in windows %}
    CAST(coalesce(sum(strength)
        {%- if window.since is not none %} FILTER (WHERE unix_micros(timestamp) >= {{ window.since }}){% endif %}, 0) AS BIGINT)
        AS strength_{{ window.hours }}{{ "," if not loop.last }}
{% endfor %}
FROM sequences
{% if since is not none %}
WHERE unix_micros(timestamp) >= {{ since }}
{% endif %}
GROUP BY user_index, item_index
