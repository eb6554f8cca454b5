#!/bin/busybox sh
# The first program of the emulated machine: loads the modules, runs each line of /guest/commands, ends.
# The first serial port is the kernel's console, the second carries what is said here.
b=/bin/busybox
$b mkdir -p /proc /sys /dev /tmp
$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys
$b mount -t devtmpfs devtmpfs /dev
$b mount -t bpf bpf /sys/fs/bpf
exec </dev/null >/dev/ttyS1 2>&1
# As the systemd unit has it: maps count against this before Linux 5.11.
ulimit -l unlimited
. /guest/environment
echo "guest: up $($b uname -r)"
for module in /guest/modules/*.ko; do
    $b insmod "$module" || echo "guest: $module was not loaded"
done
while read -r command; do
    $command
    echo "guest: status $? of $command"
done </guest/commands
echo "guest: end"
$b reboot -f
