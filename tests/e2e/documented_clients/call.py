import requests

url = "https://diem-instance.com/etl-mgr/api/apijob"

payload="{\"id\":\"5fd3a340b15cc4d3b71b7cc7\",\"action\": \"status\"}"
headers = {
  'x-api-key': 'THE_API_KEY',
  'Content-Type': 'application/json',
  'Cookie': '2dde790f4336c48096c854e78a2bf377=8e7fbffd3054f98246f64722461a3275'
}

response = requests.request("POST", url, headers=headers, data=payload)

print(response.text)
