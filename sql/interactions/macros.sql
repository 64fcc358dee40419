{# Expressions that more than one query needs. #}
{% macro typed_id(text, id_type) %}
{% if id_type == "int64" %}
    -- 17850.0 is the id 17850; 17850.5, 1e3 and what is beyond 64 bits are no ids
    CASE
        WHEN translate(replace(concat({{ text }}, '#'), '.0#', '#'), '0123456789', '') IN ('#', '-#')
            THEN TRY_CAST(replace(replace(concat({{ text }}, '#'), '.0#', '#'), '#', '') AS BIGINT)
    END
{%- else %}
    {{ text }}
{%- endif %}
{% endmacro %}
