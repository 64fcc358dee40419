-- One slice of a table of ranked lists: rows whose item stands twice in its list, and rows that list themselves.
SELECT
  count(*) - (SELECT count(*) FROM (SELECT DISTINCT {{ key }} AS list_key, {{ item }} FROM {{ table }} WHERE {{ slice }}))
    AS duplicates,
  count(*) FILTER (WHERE {{ itself }}) AS itself
FROM {{ table }}
WHERE {{ slice }}
