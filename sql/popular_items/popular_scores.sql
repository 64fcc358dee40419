-- Popularity by window. A user counts with ln(1 + strength), so no user counts much more than
-- others; bots do not count. Scores are in millionths, so sums are exact.
{% for window in windows %}
SELECT
    {{ window.hours }} AS window_hours,
    s.user_index,
    s.item_index,
    CAST(round(1e6 * ln(1 + s.strength_{{ window.hours }} / 1e6)) AS BIGINT) AS score
FROM window_strengths AS s
JOIN users AS u ON s.user_index = u.user_index
WHERE s.strength_{{ window.hours }} > 0 AND u.bot = FALSE
{% if not loop.last %}
UNION ALL
{% endif %}
{% endfor %}
