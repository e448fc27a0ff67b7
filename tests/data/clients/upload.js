const FormData = require('form-data');
const fs = require('fs');
const axios = require('axios');

const form = new FormData();
form.append('file', fs.createReadStream('audio.mp3'));

const response = await axios.post(
  'https://gigaam-api.dubr1k.space/api/v1/transcribe',
  form,
  {
    headers: {
      ...form.getHeaders(),
      'X-API-Key': 'your_api_key_here'
    }
  }
);

console.log('Task ID:', response.data.task_id);
