-- One example per row rule: the first row that broke it in the newest file with such a row.
SELECT rule, file_id, line
FROM (
    SELECT
        rule,
        file_id,
        line,
        row_number() OVER (PARTITION BY rule ORDER BY file_id DESC, line) AS example
    FROM quarantined
    WHERE file_id NOT IN ({{ ([0] + replaced) | join(", ") }})
) AS numbered
WHERE example = 1
