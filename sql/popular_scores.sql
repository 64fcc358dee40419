-- Popularity by window: a user counts with ln(1 + strength), so that nobody counts much more than others.
-- In millionths, to be summed exactly. Bots do not count.
{% for window in windows %}
SELECT
    {{ window.days }} AS window_days,
    s.user_id,
    s.item_id,
    CAST(round(1e6 * ln(1 + s.strength / 1e6)) AS BIGINT) AS score
FROM (
{% if window.days == 0 %}
    SELECT user_id, item_id, strength FROM pairs WHERE strength > 0
{% else %}
    SELECT user_id, item_id, CAST(sum(strength) AS BIGINT) AS strength
    FROM events
    WHERE strength > 0 AND event_date > DATE {{ window.after }}
    GROUP BY user_id, item_id
{% endif %}
) AS s
JOIN user_totals AS u ON s.user_id = u.user_id
WHERE u.bot = FALSE
{% if not loop.last %}
UNION ALL
{% endif %}
{% endfor %}
