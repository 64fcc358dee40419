-- The first k rows of each list by source: rows, events and hits with their items, and gain.
SELECT
    s.user_index,
    c.k,
    s.source,
    count(*) AS listed_rows,
    CAST(sum(s.events) AS BIGINT) AS events_found,
    CAST(sum(s.hits) AS BIGINT) AS hits,
    CAST(sum(s.gain) AS BIGINT) AS gain
FROM shown_rows AS s
JOIN cuts AS c ON s.rank <= c.k
GROUP BY s.user_index, c.k, s.source
