-- One slice of a table of ranked lists: items that occur twice in a list, and items listed for
-- themselves.
SELECT
  count(*) - (SELECT count(*) FROM (SELECT DISTINCT {{ key }} AS list_key, {{ item }} FROM {{ table }} WHERE {{ slice }}))
    AS duplicates,
  count(*) FILTER (WHERE {{ itself }}) AS itself
FROM {{ table }}
WHERE {{ slice }}
