-- The users of a relation who asked to be forgotten: those whose keyed hash (HMAC-SHA256, RFC 2104) is in the list.
SELECT u.user_id
FROM (SELECT DISTINCT user_id FROM {{ relation }} WHERE user_id IS NOT NULL) AS u
CROSS JOIN forgotten_key AS k
WHERE {{ digest }} IN (SELECT digest FROM forgotten_digests)
