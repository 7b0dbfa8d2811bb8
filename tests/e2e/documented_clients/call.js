var axios = require('axios');
var data = JSON.stringify({"id":"5fd3a340b15cc4d3b71b7cc7"});

var config = {
  method: 'post',
  url: 'https://diem-instance.com/etl-mgr/api/apijob',
  headers: {
    'x-api-key': 'THE_API_KEY',
    'Content-Type': 'application/json',
    'Cookie': '2dde790f4336c48096c854e78a2bf377=8e7fbffd3054f98246f64722461a3275'
  },
  data : data
};

axios(config)
.then(function (response) {
  console.log(JSON.stringify(response.data));
})
.catch(function (error) {
  console.log(error);
});
