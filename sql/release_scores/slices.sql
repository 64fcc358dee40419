-- What each row of the table sums up: whole lists of a segment's users, then the parts of lists that
-- a source filled, then single ranks. Users without a list count in their segments.
SELECT m.segment, m.segment_value, c.k, m.user_index, l.listed_rows, l.events_found, l.hits, l.gain
FROM members AS m
CROSS JOIN cuts AS c
LEFT JOIN (
    SELECT
        user_index,
        k,
        sum(listed_rows) AS listed_rows,
        sum(events_found) AS events_found,
        sum(hits) AS hits,
        sum(gain) AS gain
    FROM list_parts
    GROUP BY user_index, k
) AS l ON m.user_index = l.user_index AND c.k = l.k
UNION ALL
SELECT 'source', source, k, user_index, listed_rows, events_found, hits, gain FROM list_parts
UNION ALL
SELECT 'rank', CAST(rank AS STRING), rank, user_index, 1, events, hits, gain
FROM shown_rows
WHERE rank <= {{ ranks }}
