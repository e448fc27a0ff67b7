curl -H "X-API-Key: your_api_key_here" https://gigaam-api.dubr1k.space/health

curl -X POST "https://gigaam-api.dubr1k.space/api/v1/transcribe" \
  -H "X-API-Key: your_api_key_here" \
  -F "file=@/path/to/audio.mp3"

curl -H "X-API-Key: your_api_key_here" \
  "https://gigaam-api.dubr1k.space/api/v1/tasks/a1b2c3d4e5f6"

curl -H "X-API-Key: your_api_key_here" \
  "https://gigaam-api.dubr1k.space/api/v1/tasks/a1b2c3d4e5f6/result"

# Скачать текст без таймкодов
curl -H "X-API-Key: your_api_key_here" \
  "https://gigaam-api.dubr1k.space/api/v1/tasks/a1b2c3d4e5f6/download?format=txt" \
  -o result.txt

# Скачать текст с таймкодами
curl -H "X-API-Key: your_api_key_here" \
  "https://gigaam-api.dubr1k.space/api/v1/tasks/a1b2c3d4e5f6/download?format=timecodes" \
  -o result_timecodes.txt

# Все задачи
curl -H "X-API-Key: your_api_key_here" \
  "https://gigaam-api.dubr1k.space/api/v1/tasks"

# Только завершенные
curl -H "X-API-Key: your_api_key_here" \
  "https://gigaam-api.dubr1k.space/api/v1/tasks?status_filter=completed"

# Только обрабатываемые
curl -H "X-API-Key: your_api_key_here" \
  "https://gigaam-api.dubr1k.space/api/v1/tasks?status_filter=processing"

curl -X DELETE -H "X-API-Key: your_api_key_here" \
  "https://gigaam-api.dubr1k.space/api/v1/tasks/a1b2c3d4e5f6"

curl https://gigaam-api.dubr1k.space/health
