-- The attributes of the users with an event since; a user can have several values.
SELECT a.name, a.value, u.user_index
FROM user_attributes AS a
JOIN users AS u ON a.id = u.user_id
WHERE u.user_index IN (SELECT user_index FROM active_users)
