-- The median age of an item, over the last fifth of the events: the time since the item's first
-- event, in microseconds. Items of the first fifth may be older than the log. `least_age` counts
-- them as just as old as the log shows, `known_age` as older than all others.
WITH minutes AS (
    SELECT minute, sum(events) AS events FROM item_minutes GROUP BY minute
),
cumulated AS (
    SELECT minute, events, sum(events) OVER (ORDER BY minute) AS until_then, sum(events) OVER () AS total
    FROM minutes
),
parts AS (
    SELECT
        min(minute) FILTER (WHERE 5 * until_then >= total) AS first_fifth_ends,
        max(minute) FILTER (WHERE 5 * (total - until_then + events) >= total) AS last_fifth_begins
    FROM cumulated
),
first_events AS (
    SELECT item_index, min(minute) AS minute FROM item_minutes GROUP BY item_index
),
ages AS (
    SELECT
        m.minute - f.minute AS age,
        sum(m.events) AS events,
        sum(CASE WHEN f.minute > p.first_fifth_ends THEN m.events ELSE 0 END) AS known_events
    FROM item_minutes AS m
    JOIN first_events AS f ON m.item_index = f.item_index
    CROSS JOIN parts AS p
    WHERE m.minute >= p.last_fifth_begins
    GROUP BY m.minute - f.minute
),
younger AS (
    SELECT
        age,
        sum(events) OVER () AS total,
        sum(events) OVER (ORDER BY age) AS events,
        sum(known_events) OVER (ORDER BY age) AS known_events
    FROM ages
)
SELECT
    CAST(max(total) AS BIGINT) AS events,
    CAST(min(age) FILTER (WHERE 2 * events >= total) AS BIGINT) AS least_age,
    CAST(min(age) FILTER (WHERE 2 * known_events >= total) AS BIGINT) AS known_age
FROM younger
