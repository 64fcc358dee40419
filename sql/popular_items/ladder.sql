-- The rankings that fill what a model cannot: popularity of the fallback window, then of all time.
SELECT
    p.segment,
    p.segment_value,
    p.window_days,
    p.item_index,
    p.score
FROM popular_totals AS p
JOIN items AS i ON p.item_index = i.item_index
WHERE i.available
    AND (
        (p.segment = 'all' AND p.window_days IN ({{ window }}, 0))
{% if segment %}
        OR (p.segment = '{{ segment }}' AND p.window_days = {{ window }})
{% endif %}
    )
