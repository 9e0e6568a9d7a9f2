# Ends the shared servers when nobody has asked for them for a while, or when their state file is gone.
# Arguments: the state file, the servers' folder, and after how many seconds.
state=$1
folder=$2
idle=$3
while sleep 10; do
    grep -qF "$folder" "$state" 2>/dev/null || break
    used=$(stat -c %Y "$state") || break
    [ $(($(date +%s) - used)) -lt "$idle" ] || break
done
for process in /proc/[0-9]*; do
    case $(cat "$process/comm" 2>/dev/null) in
    java | postgres | mosquitto)
        if tr '\0' ' ' <"$process/cmdline" 2>/dev/null | grep -qF "$folder"; then
            kill -9 "${process#/proc/}"
        fi
        ;;
    esac
done
if grep -qF "$folder" "$state" 2>/dev/null; then
    rm -f "$state"
fi
rm -rf "$folder"
