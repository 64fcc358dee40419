-- One row to look at for each row rule: the first that broke it in the newest file where one did.
SELECT rule, file_id, line
FROM (
    SELECT
        rule,
        file_id,
        line,
        row_number() OVER (PARTITION BY rule ORDER BY file_id DESC, line) AS place
    FROM quarantined
    WHERE file_id NOT IN ({{ ([0] + replaced) | join(", ") }})
) AS numbered
WHERE place = 1
