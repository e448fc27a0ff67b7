#!/bin/bash
# transcribe.sh - Простой скрипт для транскрибации

API_KEY="your_api_key_here"
BASE_URL="https://gigaam-api.dubr1k.space"
FILE="$1"

if [ -z "$FILE" ]; then
    echo "Использование: ./transcribe.sh <audio_file>"
    exit 1
fi

echo "Загрузка файла: $FILE"
RESPONSE=$(curl -s -X POST "$BASE_URL/api/v1/transcribe" \
    -H "X-API-Key: $API_KEY" \
    -F "file=@$FILE")

TASK_ID=$(echo $RESPONSE | jq -r '.task_id')
echo "Task ID: $TASK_ID"

echo "Ожидание обработки..."
while true; do
    STATUS=$(curl -s -H "X-API-Key: $API_KEY" \
        "$BASE_URL/api/v1/tasks/$TASK_ID" | jq -r '.status')
    
    PROGRESS=$(curl -s -H "X-API-Key: $API_KEY" \
        "$BASE_URL/api/v1/tasks/$TASK_ID" | jq -r '.progress')
    
    echo "Статус: $STATUS - $PROGRESS%"
    
    if [ "$STATUS" == "completed" ]; then
        break
    fi
    
    sleep 5
done

echo "Получение результата..."
curl -s -H "X-API-Key: $API_KEY" \
    "$BASE_URL/api/v1/tasks/$TASK_ID/result" | jq -r '.transcription' > result.txt

echo "✓ Готово! Результат сохранен в result.txt"
