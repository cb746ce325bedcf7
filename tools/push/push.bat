@powershell -NoProfile -ExecutionPolicy Bypass -File "%~dp0push.ps1" %*
