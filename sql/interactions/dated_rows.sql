-- Typed rows with the day they belong to, in the time zone of the source.
SELECT
    *,
{% if time_zone == "'UTC'" %}
    CAST(timestamp AS DATE) AS event_date
{% else %}
    CAST(from_utc_timestamp(timestamp, {{ time_zone }}) AS DATE) AS event_date
{% endif %}
FROM typed_rows
