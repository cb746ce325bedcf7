# Pushes a test picture, a file, a camera or the screen to tsstream with ffmpeg, on Windows. (push does on Linux and
# macOS.) Needs ffmpeg alone, on the PATH.
param(
    [Parameter(Position = 0)][string] $What,
    [Parameter(Position = 1, ValueFromRemainingArguments = $true)][string[]] $Rest
)
$ErrorActionPreference = 'Stop'

$usage = @'
usage: push WHAT URL [OPTION...]

WHAT    test                          a moving picture with a tone
        file FILE                     a file, at the speed at which it plays
        camera "video=NAME:audio=NAME"  names as listed by
                                      ffmpeg -list_devices true -f dshow -i dummy
        screen                        the whole desktop

URL     tcp://HOST:PORT
        udp://HOST:PORT
        rtp://HOST:PORT
        http://HOST:PORT/SECRET/NAME

OPTION  --h264    H.264 with AAC, which mpegts.js plays (the default)
        --mpeg1   MPEG-1 with MP2, which jsmpeg plays, also where there is no H.264
        --loop    begin the file again when it ends
        --silent  no sound
        --print   print the ffmpeg command and do not run it
'@

function Fail([string] $Words) {
    [Console]::Error.WriteLine("push: $Words (push --help tells how)")
    exit 2
}

$codec = 'h264'; $repeat = $false; $silent = $false; $print = $false; $subject = ''; $url = ''
foreach ($word in @($What) + @($Rest) | Where-Object { $_ }) {
    switch -Regex ($word) {
        '^--h264$' { $codec = 'h264'; break }
        '^--mpeg1$' { $codec = 'mpeg1'; break }
        '^--loop$' { $repeat = $true; break }
        '^--silent$' { $silent = $true; break }
        '^--print$' { $print = $true; break }
        '^(-h|--help)$' { $usage; exit 0 }
        '^-' { Fail "unknown option $word" }
        '^(tcp|udp|rtp|https?)://' { $url = $word; break }
        default { if ($word -ne $What) { if ($subject) { Fail "what is ${word}?" } else { $subject = $word } } }
    }
}
if (-not $url) { Fail 'where to? a URL is missing' }

$arguments = @('-hide_banner', '-loglevel', 'warning', '-nostdin')
$sound = ''
switch ($What) {
    'test' {
        $arguments += '-re', '-f', 'lavfi', '-i', 'testsrc2=size=640x360:rate=25'
        if (-not $silent) {
            $arguments += '-re', '-f', 'lavfi', '-i', 'sine=frequency=440:beep_factor=2:sample_rate=48000,volume=0.1'
        }
        $sound = '1:a:0'
    }
    'file' {
        if (-not $subject) { Fail 'which file?' }
        if (-not $print -and -not (Test-Path -LiteralPath $subject)) { Fail "there is no $subject" }
        $arguments += '-re'
        if ($repeat) { $arguments += '-stream_loop', '-1' }
        $arguments += '-i', $subject
        $sound = '0:a:0?'
    }
    'camera' {
        if (-not $subject) { Fail 'which camera? for example "video=Integrated Camera:audio=Microphone"' }
        $arguments += '-f', 'dshow', '-rtbufsize', '64M', '-i', $subject
        $sound = '0:a:0?'
    }
    'screen' {
        $silent = $true
        $arguments += '-f', 'gdigrab', '-framerate', '25', '-i', 'desktop'
    }
    default { Fail "$What is none of test, file, camera, screen" }
}

$arguments += '-map', '0:v:0'
if (-not $silent) { $arguments += '-map', $sound }

# Whole seconds of 25 frames (MPEG-1 knows a few rates only), even sides, a keyframe each second.
$arguments += '-vf', 'scale=trunc(iw/2)*2:trunc(ih/2)*2,format=yuv420p', '-r', '25', '-g', '25'
if ($codec -eq 'mpeg1') {
    $arguments += '-c:v', 'mpeg1video', '-bf', '0', '-b:v', '1800k', '-maxrate', '2700k', '-bufsize', '900k'
    if (-not $silent) { $arguments += '-c:a', 'mp2', '-b:a', '128k', '-ar', '48000', '-ac', '2' }
} else {
    $arguments += '-c:v', 'libx264', '-preset', 'veryfast', '-tune', 'zerolatency', '-profile:v', 'main'
    $arguments += '-sc_threshold', '0', '-b:v', '2000k', '-maxrate', '2500k', '-bufsize', '1250k'
    if (-not $silent) { $arguments += '-c:a', 'aac', '-b:a', '128k', '-ar', '48000', '-ac', '2' }
}

# Every frame leaves as soon as it is made.
$format = 'mpegts'
$arguments += '-muxdelay', '0.001', '-muxpreload', '0', '-flush_packets', '1'
switch -Regex ($url) {
    '^tcp:' { $arguments += '-tcp_nodelay', '1'; break }
    '^rtp:' { $format = 'rtp_mpegts'; break }
    '^udp:[^?]*$' { $url = "${url}?pkt_size=1316"; break }
    '^http' { $arguments += '-method', 'POST', '-chunked_post', '1', '-tcp_nodelay', '1'; break }
}
$arguments += '-f', $format, $url

if ($print) {
    'ffmpeg ' + (($arguments | ForEach-Object { if ($_ -match '[^A-Za-z0-9_./:=,-]') { '"' + $_ + '"' } else { $_ } }) -join ' ')
    exit 0
}
if (-not (Get-Command ffmpeg -ErrorAction SilentlyContinue)) { Fail 'ffmpeg is not installed, or not on the PATH' }
& ffmpeg @arguments
exit $LASTEXITCODE
