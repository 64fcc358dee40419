-- The value of an event attribute that is the most common with each user or item; the smaller one of equals.
SELECT id, value
FROM (
    SELECT
        id,
        value,
        row_number() OVER (PARTITION BY id ORDER BY n DESC, value) AS place
    FROM (
        SELECT {{ id }} AS id, {{ attribute }} AS value, count(*) AS n
        FROM events
        WHERE {{ attribute }} IS NOT NULL
        GROUP BY {{ id }}, {{ attribute }}
    ) AS counted
) AS ranked
WHERE place = 1
