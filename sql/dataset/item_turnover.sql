-- How the items of each window differ from those before it. `top` items are those with most events
-- in the window, ties by index: 100, or a tenth of its items if that is fewer. `kept` of them are
-- among as many of the window before. `log_start` is the minute of the first event.
{% for window in windows %}
SELECT
    {{ window.days }} AS days,
    CAST(min(first_minute) AS BIGINT) AS log_start,
    CAST(coalesce(sum(now), 0) AS BIGINT) AS events,
    CAST(coalesce(sum(CASE WHEN first_minute >= {{ window.since }} THEN now END), 0) AS BIGINT) AS new_events,
    count(*) FILTER (WHERE now > 0 AND place <= 100 AND 10 * (place - 1) < items) AS top,
    count(*) FILTER (
        WHERE now > 0 AND place <= 100 AND 10 * (place - 1) < items
            AND earlier > 0 AND earlier_place <= 100 AND 10 * (earlier_place - 1) < items
    ) AS kept
FROM (
    SELECT
        first_minute,
        now,
        earlier,
        sum(CASE WHEN now > 0 THEN 1 ELSE 0 END) OVER () AS items,
        row_number() OVER (ORDER BY now DESC, item_index) AS place,
        row_number() OVER (ORDER BY earlier DESC, item_index) AS earlier_place
    FROM (
        SELECT
            item_index,
            min(minute) AS first_minute,
            sum(CASE WHEN minute >= {{ window.since }} THEN events ELSE 0 END) AS now,
            sum(CASE WHEN minute >= {{ window.before }} AND minute < {{ window.since }} THEN events ELSE 0 END)
                AS earlier
        FROM item_minutes
        GROUP BY item_index
    ) AS counted
) AS placed
{% if not loop.last %}
UNION ALL
{% endif %}
{% endfor %}
