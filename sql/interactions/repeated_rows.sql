-- Exact repeats among the landed rows: every copy of a row except the first, by file and line. Rows
-- with equal hashes are candidates; they are compared in full.
SELECT file_id, line{{ ", element" if elements }}
FROM (
    SELECT
        file_id,
        line,
{% if elements %}
        element,
{% endif %}
        row_number() OVER (PARTITION BY {{ key }} ORDER BY file_id, line{{ ", element" if elements }}) AS copy
    FROM raw_rows
    WHERE row_hash IN (SELECT row_hash FROM raw_rows GROUP BY row_hash HAVING count(*) > 1)
) AS candidates
WHERE copy > 1
