-- Popularity by window: a user counts with ln(1 + strength), so that nobody counts much more than others.
-- In millionths, to be summed exactly. Bots do not count.
{% for window in windows %}
SELECT
    {{ window.days }} AS window_days,
    s.user_index,
    s.item_index,
    CAST(round(1e6 * ln(1 + s.strength_{{ window.days }} / 1e6)) AS BIGINT) AS score
FROM window_strengths AS s
JOIN users AS u ON s.user_index = u.user_index
WHERE s.strength_{{ window.days }} > 0 AND u.bot = FALSE
{% if not loop.last %}
UNION ALL
{% endif %}
{% endfor %}
