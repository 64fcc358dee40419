-- Exact repeats within what was landed: every copy of a row but the first, by file and line.
-- Equal hashes only make candidates; rows are equal if the whole row is.
SELECT file_id, line
FROM (
    SELECT
        file_id,
        line,
        row_number() OVER (PARTITION BY shape, {{ texts | join(", ") }} ORDER BY file_id, line) AS copy
    FROM raw_rows
    WHERE row_hash IN (SELECT row_hash FROM raw_rows GROUP BY row_hash HAVING count(*) > 1)
) AS candidates
WHERE copy > 1
