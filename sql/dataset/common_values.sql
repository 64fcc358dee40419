-- The most common value of an event attribute for each user or item; ties go to the smaller value.
SELECT id, value
FROM (
    SELECT
        id,
        value,
        row_number() OVER (PARTITION BY id ORDER BY n DESC, value) AS preference
    FROM (
        SELECT {{ id }} AS id, {{ attribute }} AS value, count(*) AS n
        FROM events
        WHERE {{ attribute }} IS NOT NULL
        GROUP BY {{ id }}, {{ attribute }}
    ) AS counted
) AS ranked
WHERE preference = 1
