curl --location --request POST 'https://diem-instance.com/etl-mgr/api/apijob' \
--header 'x-api-key: THE_API_KEY' \
--header 'Content-Type: application/json' \
--data-raw '{"id":"5fd3a340b15cc4d3b71b7cc7","action": "status"}'
