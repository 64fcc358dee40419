-- Number of rows by file and by the rule that decided about them.
SELECT file_id, rule, count(*) AS n
FROM classified
GROUP BY file_id, rule
