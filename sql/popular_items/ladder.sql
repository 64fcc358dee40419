-- The rankings that fill short lists: popularity in the fallback window, then of all time.
SELECT
    p.segment,
    p.segment_value,
    p.window_hours,
    p.item_index,
    p.score
FROM popular_totals AS p
JOIN items AS i ON p.item_index = i.item_index
WHERE i.available
    AND (
        (p.segment = 'all' AND p.window_hours IN ({{ window }}, 0))
{% if segment %}
        OR (p.segment = '{{ segment }}' AND p.window_hours = {{ window }})
{% endif %}
    )
