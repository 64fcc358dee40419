-- Rows of each file by the rule that decided about them.
SELECT file_id, rule, count(*) AS n
FROM judged
GROUP BY file_id, rule
