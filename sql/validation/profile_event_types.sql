-- Events of each type; events without one count as the type ''.
SELECT
    coalesce(event_type, '') AS event_type,
    count(*) AS events
FROM events
GROUP BY coalesce(event_type, '')
ORDER BY coalesce(event_type, '')
