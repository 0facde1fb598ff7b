# How the jukebox fares, for a person who logs in; not for a command over SSH, nor in a shell within the first.
if [ -t 1 ] && [ -z "${SILVERSTREAM_GREETED-}" ]; then
    export SILVERSTREAM_GREETED=1
    silverstream status --brief
fi
