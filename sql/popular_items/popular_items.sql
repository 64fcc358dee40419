-- The most popular recommendable items of each segment and window; ties by item id.
SELECT segment, segment_value, window_days, rank, item_id, score / 1e6 AS score, users
FROM (
    SELECT
        p.segment,
        p.segment_value,
        CAST(p.window_hours AS DOUBLE) / 24 AS window_days,
        CAST(row_number() OVER (
            PARTITION BY p.segment, p.segment_value, p.window_hours
            ORDER BY p.score DESC, p.item_index
        ) AS INT) AS rank,
        i.item_id,
        p.score,
        p.users
    FROM popular_totals AS p
    JOIN items AS i ON p.item_index = i.item_index
    WHERE i.available
) AS ranked
WHERE rank <= {{ n }}
